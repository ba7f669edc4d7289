"""The folders of the code, the downloads (shared by all clones) and the state of this clone's stack.

All state is under .stack/, except the supervisor's socket.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from pathlib import Path

CODE = Path(__file__).resolve().parents[2]
# Another folder with a Procfile of its own may be driven by the same code (the tests do).
ROOT = Path(os.environ.get("FAUST_PAYMENTS_ROOT", CODE)).resolve()
INFRA = CODE / "infra"
STATE = ROOT / ".stack"
LOGS = STATE / "logs"
DATA = STATE / "data"
BROKERS = DATA / "brokers"  # the addresses of three brokers, if the data are of three
SECURE = DATA / "secure"  # certificates and passwords, if the stack of these data is secured
ASIDE = STATE / "data.aside"  # a benchmark starts with no data: the user's are kept here meanwhile
DATA_COPY = STATE / "data.restoring"  # a restore that has not ended
BACKUPS = STATE / "backups"
RUN = STATE / "run"
LOCK = RUN / "lock"
SUPERVISOR = RUN / "supervisor"  # its configuration and pid, and the last start of each part
BIN = Path(sys.executable).parent  # not resolved: a venv's python is a symlink


def socket_dir() -> Path:
    """The folder of supervisord's socket: the repository's own path may be too long for one.

    Not tempfile.gettempdir(): TMPDIR may differ between the shells that say `up` and `down`.
    """
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:12]
    return Path("/tmp") / f"faust-payments-{os.getuid()}-{name}"  # noqa: S108 - checked by make_private


def make_private(folder: Path) -> None:
    """Make a folder that only we can enter; refuse one that somebody else has put there."""
    folder.mkdir(mode=0o700, exist_ok=True)
    info = folder.lstat()
    if folder.is_symlink() or info.st_uid != os.getuid() or info.st_mode & 0o077:
        raise SystemExit(f"{folder} is not a private folder of yours; remove it and try again")


def cache() -> Path:
    """Directory of the downloaded servers; survives `make clean`."""
    # As in setup.sh; a container's user may have no home.
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or STATE) / ".cache"
    return Path(base) / "faust-payments"


def forget_setup() -> None:
    """Something that setup brought is gone: the next `make setup` looks at all of it, and not at its stamp alone."""
    with contextlib.suppress(OSError):  # a container's image cannot be written to
        (cache() / "complete").unlink()


def data(name: str) -> Path:
    """Directory in which the process NAME keeps its data; made when missing."""
    path = DATA / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def run() -> Path:
    """Directory of configuration files written at start; made when missing."""
    RUN.mkdir(parents=True, exist_ok=True)
    return RUN
