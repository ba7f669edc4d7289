"""Whether this machine can run the stack: one plain line per missing thing, with what to do."""

import os
import platform
import shutil
import socket
from pathlib import Path

from infra.native import paths
from infra.native.wheels import WHEELS, Wheel, advice, has_wheel

SYSTEMS = {"Linux": ("x86_64", "aarch64"), "Darwin": ("x86_64", "arm64")}
#: An entry of PATH ends at :, of Kafka's log.dirs at a comma, H2's file at ;, and pip's scripts quote the path with ".
REFUSED_SIGNS = (":", ",", ";", '"', "$", "`", "\\")
LOOPBACK = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
# Measured: 1.9 GB of Python packages (and 0.6 GB of pip's cache), 0.4 GB of servers (0.2 GB more while unpacking);
# the rest is for data.
DISK_GB = 5
MEMORY_GB = 6


def problems() -> list[str]:
    """What prevents it, one line each."""
    found = [
        system(platform.system(), platform.machine()),
        checkout(paths.CODE),
        disk(free_gb(paths.CODE), paths.CODE),
        disk(free_gb(paths.cache()), paths.cache()),
        memory(free_memory_gb()),
        loopback([host for host in LOOPBACK if not can_bind(host)], platform.system()),
        *(missing_server(wheel, has_wheel(wheel), shutil.which(wheel.command)) for wheel in WHEELS.values()),
    ]
    return list(dict.fromkeys(problem for problem in found if problem))


def system(name: str, processor: str) -> str | None:
    """The operating system and the processor."""
    if processor in SYSTEMS.get(name, ()):
        return None
    known = ", ".join(f"{system} on {' or '.join(processors)}" for system, processors in SYSTEMS.items())
    return f"{name} on {processor} is not supported: use one of {known} (or docker-compose.yml)"


def checkout(path: Path) -> str | None:
    """A path that every server understands: for some of them these signs end it, quoted or not."""
    signs = [sign for sign in REFUSED_SIGNS if sign in str(path)]
    if not signs:
        return None
    return f"the path of this checkout, {path}, contains {' '.join(signs)}: move it to one without"


def disk(free: float, path: Path) -> str | None:
    """Disk space for the packages, the servers and their data."""
    if free >= DISK_GB:
        return None
    return f"too little disk: {free:.1f} GB free at {path}, {DISK_GB} GB are needed: free some space there"


def memory(free: float | None) -> str | None:
    """Memory for five Java servers, two TensorFlow processes and the workers."""
    if free is None or free >= MEMORY_GB:
        return None
    return f"too little memory: {free:.1f} GB free, {MEMORY_GB} GB are needed: close other programs"


def loopback(missing: list[str], name: str) -> str | None:
    """An address for each Cassandra node; macOS has only the first."""
    if not missing:
        return None
    what = f"loopback address {', '.join(missing)} is missing: run "
    if name == "Darwin":
        return what + " && ".join(f"sudo ifconfig lo0 alias {host} up" for host in missing)
    return what + " && ".join(f"sudo ip address add {host}/8 dev lo" for host in missing)


def missing_server(wheel: Wheel, wheel_exists: bool, on_path: str | None) -> str | None:
    """A server that comes neither with a package nor with the system."""
    if wheel_exists or on_path:
        return None
    return f"{wheel.command} is missing, and no package brings it for this machine: {advice(wheel)}"


def free_gb(path: Path) -> float:
    """Free disk where the path is, or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free / 1e9


def free_memory_gb() -> float | None:
    """Available memory; all of it where the system does not report what is available."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 1e6
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9


def can_bind(host: str) -> bool:
    """Whether a server could listen on the address."""
    with socket.socket() as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True
