"""The setup itself: check the machine, fill .venv, fetch the servers. Standard library only."""

import fcntl
import subprocess
import sys
import time
from pathlib import Path

from infra.native import paths, preflight

VENV = paths.CODE / ".venv"
PYTHON = VENV / "bin" / "python"
LARGE = ("MB)", "GB)")  # pip names the size of a file that it downloads


def main(stamp: str) -> None:
    """Do what is left to do; the stamp is written last."""
    paths.STATE.mkdir(exist_ok=True)
    with (paths.STATE / "setup.lock").open("w") as lock:
        _wait_for(lock.fileno())
        if _read(VENV / "setup.stamp") == stamp and (paths.cache() / "complete").exists():
            return  # another setup did it while we waited
        _refuse_if(preflight.problems())
        began = time.monotonic()
        (VENV / "setup.stamp").unlink(missing_ok=True)
        _make_venv(lock.fileno())
        _install_packages(lock.fileno())
        print("setup 3/3: servers (0.3 GB at the first time)", flush=True)
        for step in ("fetch", "class_data"):
            _run([str(PYTHON), "-m", f"infra.native.{step}"], lock.fileno())
        (paths.cache() / "complete").touch()
        (VENV / "setup.stamp").write_text(stamp)
        print(f"setup: done in {time.monotonic() - began:.0f} s", flush=True)


def _refuse_if(problems: list[str]) -> None:
    for problem in problems:
        print(f"setup: {problem}", file=sys.stderr)
    if problems:
        raise SystemExit(1)


def _wait_for(lock: int) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("setup: another setup is at work here, waiting for it", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _make_venv(lock: int) -> None:
    version = ".".join(map(str, sys.version_info[:2]))
    works = [
        str(PYTHON),
        "-c",
        f"import sys, pip; raise SystemExit('{version}' != '%d.%d' % sys.version_info[:2])",
    ]
    if PYTHON.exists() and subprocess.run(works, capture_output=True, check=False).returncode == 0:
        return
    print(f"setup 1/3: .venv for Python {version}", flush=True)
    _run([sys.executable, "-m", "venv", "--clear", str(VENV)], lock)


def _install_packages(lock: int) -> None:
    requirements = paths.CODE / "requirements.lock"
    total = sum("==" in line for line in requirements.read_text().splitlines())
    print("setup 2/3: Python packages (0.6 GB at the first time)", flush=True)
    command = [str(PYTHON), "-m", "pip", "install", "--require-hashes", "-r", str(requirements)]
    command += ["--disable-pip-version-check", "--progress-bar", "off"]
    pip = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, pass_fds=[lock])
    count = 0
    for line in pip.stdout or ():
        count += line.startswith(("Collecting", "Requirement already", "Ignoring"))
        _show(line.strip(), count, total)
    if pip.wait():
        raise SystemExit("setup: pip failed (see above); run the command again to go on where it stopped")


def _show(line: str, count: int, total: int) -> None:
    if line.startswith("Downloading") and line.endswith(LARGE):
        file, size = line.split(" ", 1)[1].rsplit(" (", 1)
        print(f"  {count}/{total} downloading {file.rsplit('/', 1)[-1].split('-')[0]} ({size}", flush=True)
    elif line.startswith("Installing collected"):
        print(f"  {total}/{total} unpacking into .venv (2 GB)", flush=True)


def _run(command: list[str], lock: int) -> None:
    # The child holds the lock as well: if we are killed, nobody starts beside it.
    if subprocess.run(command, cwd=paths.CODE, pass_fds=[lock], check=False).returncode:
        raise SystemExit("setup: not finished (see above); run the command again to go on where it stopped")


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


if __name__ == "__main__":
    main(sys.argv[1])
