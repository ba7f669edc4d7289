"""Where things are kept: the downloads (shared by all clones) and the state of this clone's stack."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
STATE = ROOT / ".stack"


def cache() -> Path:
    """Directory of the downloaded servers; survives `make clean`."""
    # setup.sh says the same; a container's user may have no home.
    base = os.environ.get("XDG_CACHE_HOME") or Path(os.environ.get("HOME") or STATE) / ".cache"
    return Path(base) / "faust-payments"


def data(name: str) -> Path:
    """Directory in which the process NAME keeps its data; made when missing."""
    path = STATE / "data" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


def run() -> Path:
    """Directory of configuration files written at start; made when missing."""
    path = STATE / "run"
    path.mkdir(parents=True, exist_ok=True)
    return path
