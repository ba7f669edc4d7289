"""Each Cassandra node by a name that stays: cassandra-1 is the first contact point."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence

from app.settings import Settings
from app.stores.cassandra import Cassandra
from app.system.deadline import probed
from app.system.parts import Finding
from app.system.probes import CassandraProbe

NOT_USED = Finding("degraded", "answers; the driver does not use it yet")


class CassandraNodes:
    """A probe a node, beside the driver's view: that one misses a node that hangs."""

    def __init__(self, settings: Settings, cassandra: Cassandra):
        self._settings = settings
        self._points = settings.cassandra_hosts.split(",")
        self._quorum = settings.cassandra_replication // 2 + 1
        self._cassandra = cassandra
        self._resolved: dict[str, str] = {}  # a contact point's address
        self._resolved_for: Collection[str] = ()
        self._probes: dict[str, CassandraProbe] = {}

    async def ask(self) -> dict[str, Finding | None]:
        """What each is, by name; all asked at once."""
        driver = self._cassandra.nodes()
        if driver and self._resolved_for != driver.keys():
            self._resolved |= await _addresses(self._points)
            self._resolved_for = set(driver)
        nodes = ordered(self._points, self._resolved, driver)
        for gone in self._probes.keys() - set(nodes):
            self._probes.pop(gone).close()
        for new in set(nodes) - self._probes.keys():
            self._probes[new] = CassandraProbe(new, self._settings)
        answers = await asyncio.gather(*(probed(self._probes[node].ask) for node in nodes))
        return findings(dict(zip(nodes, answers, strict=True)), driver, self._quorum)

    def close(self) -> None:
        """Disconnect."""
        for probe in self._probes.values():
            probe.close()


def ordered(points: Sequence[str], resolved: Mapping[str, str], driver: Iterable[str]) -> list[str]:
    """The nodes' addresses: the contact points' in their order, then the others that the driver has learnt of.

    A contact point that is a name may be no node but a service in front of all: it counts if the driver knows it.
    """
    known = list(driver)
    first = [
        node
        for point in points
        if (node := resolved.get(point, point)) in known or not known or _is_address(point)
    ]
    return list(dict.fromkeys([*first, *sorted(known)]))


def findings(
    answers: Mapping[str, Finding | None], driver: Mapping[str, bool], quorum: int
) -> dict[str, Finding | None]:
    """By name, from what each node (by address, in order) answered, and whether the driver holds it for alive."""
    living = sum(one is None or one.state == "up" for one in answers.values())
    found: dict[str, Finding | None] = {}
    for number, (node, answer) in enumerate(answers.items(), 1):
        if answer and answer.state == "up":
            if living < quorum:
                answer = Finding("degraded", f"{living} of {len(answers)} nodes up: no quorum")
            elif not driver.get(node, not driver):
                answer = NOT_USED
        found[f"cassandra-{number}"] = answer
    return found


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


async def _addresses(points: Iterable[str]) -> dict[str, str]:
    """The first address of each name that has one."""
    loop, found = asyncio.get_running_loop(), {}
    for point in points:
        if not _is_address(point):
            try:
                found[point] = str((await loop.getaddrinfo(point, None))[0][4][0])
            except OSError:
                continue
    return found
