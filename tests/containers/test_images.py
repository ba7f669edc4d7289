"""What a container may do and use: no root, nothing written into its image, less memory than its limit under load."""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.containers.engine import SERVICES, docker, inspect
from tests.support import log
from tests.support.feed import Feed
from tests.support.load import customers, nothing_lost

pytestmark = pytest.mark.containers

UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@pytest.mark.parametrize("name", SERVICES)
def test_no_process_in_it_is_roots(name: str) -> None:
    _, *uids = docker("top", name, "-eo", "pid,uid").splitlines()
    assert uids
    assert {line.split()[1] for line in uids} == {"65534"}, uids  # nobody


@pytest.mark.parametrize("name", SERVICES)
def test_its_image_cannot_be_written_to(name: str) -> None:
    for place in ("/payments/new", "/new", "/usr/local/bin/new"):
        command = ["docker", "exec", "--user", "root", name, "touch", place]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert "Read-only file system" in done.stderr, (place, done)


def test_under_load_each_stays_below_its_memory_limit_and_none_is_killed_for_it() -> None:
    limits = {name: inspect(name)["HostConfig"]["Memory"] for name in SERVICES}
    assert all(limits.values()), limits
    highest = dict.fromkeys(SERVICES, 0)
    ids = Feed().send(20_000)
    with customers(rate=50) as load:
        ends = time.monotonic() + 40
        while time.monotonic() < ends:
            for name, used in used_now().items():
                highest[name] = max(highest[name], used)
    log.wait_until(lambda: log.lag("transactions") == 0, 180, "all are decided")
    for name, used in highest.items():
        print(f"{name:14} {used / 2**20:6.0f} MiB of {limits[name] / 2**20:.0f}")  # noqa: T201
    assert {name for name in SERVICES if not 0 < highest[name] < limits[name]} == set()
    assert [
        name for name in SERVICES if (state := inspect(name)["State"])["OOMKilled"] or not state["Running"]
    ] == []
    nothing_lost([*load.ids, *ids], within=120)


def used_now() -> dict[str, int]:
    """Bytes, without what the kernel would give back at once (the file cache)."""
    found = {}
    for line in docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}", *SERVICES).splitlines():
        name, number, unit = re.match(r"(\S+) ([\d.]+)(\w+) /", line).groups()  # type: ignore[union-attr]
        found[name] = int(float(number) * UNITS[unit])
    return found
