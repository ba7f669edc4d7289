"""The peers' own environment, .venv-bench: their packages, each by its locked hash.

The app's lock and theirs cannot be one: Quix Streams asks for an older pydantic. All else has the app's versions.
When nothing is left to do a stamp tells so at once. `python -m benchmarks.environment` makes it alone.
"""

import fcntl
import hashlib
import platform
import re
import subprocess
import sys
import time
from pathlib import Path

from infra.native.paths import CODE, STATE

LOCK = Path(__file__).with_name("requirements.lock")

VENV = CODE / ".venv-bench"
PYTHON = VENV / "bin" / "python"


def locked(*names: str) -> dict[str, str]:
    """The versions of packages that .venv-bench has."""
    versions = dict(re.findall(r"^(\S+)==(\S+)", LOCK.read_text(), re.MULTILINE))
    return {name: versions[name] for name in names}


def ready() -> None:
    """Make what is missing; SystemExit when that fails."""
    STATE.mkdir(exist_ok=True)
    with (STATE / "bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = VENV / "stamp"
        wanted = f"{hashlib.sha256(LOCK.read_bytes()).hexdigest()} Python {platform.python_version()}\n"
        if stamp.exists() and stamp.read_text() == wanted:
            return
        began = time.monotonic()
        print("the peers' packages, into .venv-bench (0.2 GB at the first time) ...", flush=True)
        _run([sys.executable, "-m", "venv", "--clear", str(VENV)])
        _run([str(PYTHON), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)])
        stamp.write_text(wanted)
        print(f"done in {time.monotonic() - began:.0f} s", flush=True)


def _run(command: list[str]) -> None:
    if subprocess.run(command, cwd=CODE, check=False).returncode:
        raise SystemExit("the benchmarks' environment was not made (see above); run the command again")


if __name__ == "__main__":
    ready()
