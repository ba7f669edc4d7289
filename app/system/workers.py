"""The workers: found in the groups, each asked for its health and its metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

import aiohttp

from app.messaging import topics
from app.models.role import MAIN, ROLES
from app.observability import metrics
from app.system import samples
from app.system.deadline import Fault, get, probed
from app.system.groups import Address, Groups
from app.system.parts import HOLDING, STUCK, UP, Finding, Numbers
from app.system.samples import Counts, Key

#: Bytes of a worker's /metrics, at most.
METRICS_MOST = 2_000_000
NOT_REACHED = Finding("unknown", "in its consumer group; does not answer here")
OLDEST, HELD = "payments_oldest_record_seconds", "payments_partition_held_seconds"
#: What there should be of each, so that none of it is a part that is down.
KINDS = ("bff", "transactions")


@dataclass(slots=True)
class Worker:
    """One process: what its last answers said."""

    finding: Finding | None = None
    #: Whether it has ever answered: Kafka may see it at an address where nobody else can ask it.
    has_answered: bool = False
    counts: Counts = field(default_factory=dict)
    #: Counted since the look before.
    risen: dict[Key, float] = field(default_factory=dict)


def kinds_of(role: str) -> list[str]:
    """What a worker of this role is: main is both."""
    agents = ROLES[role].agents
    return [kind for kind, agent in zip(KINDS, ("statuses", "transactions"), strict=True) if agent in agents]


class Workers:
    """All that take part in a group, this one among them."""

    def __init__(
        self,
        role: str,
        port: int,
        member_id: Callable[[], str | None],
        stuck: Callable[[], str | None],
        measure: Callable[[], None],
    ):
        """Of this worker: its role, its port, its id in the group, why it is stuck; `measure` updates its gauges."""
        self.role = role
        self._ours = Address(role, "", port)
        self._member_id, self._stuck, self._measure = member_id, stuck, measure
        self._numbers = {kind: Numbers(kind, f"{kind}-{{}}") for kind in KINDS}
        self._all = {self._ours: Worker()}
        self._has_seen_groups = False

    def update(self, groups: Groups) -> set[Address]:
        """Who is in the groups now; who has left is forgotten. Gives those that are new."""
        own = groups.members.get(self._member_id() or "")
        if own is not None and own != self._ours:
            self._all[own] = self._all.pop(self._ours)
            self._ours = own
        present = {self._ours} | {one for one in groups.members.values() if not self._may_be_ours(one)}
        new = present - self._all.keys()
        self._has_seen_groups = True
        self._all = {address: self._all.get(address) or Worker() for address in sorted(present)}
        return new

    def _may_be_ours(self, address: Address) -> bool:
        """Until our id is known: what was here before a restart, or a bff elsewhere, that is shown a moment later."""
        return not self._ours.host and (address.role, address.port) == (self._ours.role, self._ours.port)

    async def ask(self, session: aiohttp.ClientSession, some: Collection[Address] | None = None) -> None:
        """Ask all of them, or some, at once, each with its own deadline."""
        asked = self._all if some is None else some
        await asyncio.gather(*(self._ask(session, address) for address in asked))

    async def _ask(self, session: aiohttp.ClientSession, address: Address) -> None:
        worker = self._all[address]
        if address == self._ours:
            self._measure()
            _note(worker, samples.of_registry(metrics.REGISTRY))
            worker.finding = STUCK if self._stuck() else _working(worker)
            return

        async def live() -> None:
            try:
                await get(session, f"{address.url}/health/live", METRICS_MOST)
            except Fault as exc:
                raise Fault(STUCK.word) from exc

        async def counts() -> None:
            text = (await get(session, f"{address.url}/metrics", METRICS_MOST)).decode()
            _note(worker, samples.of_text(text))

        worker.risen = {}
        finding, _ = await asyncio.gather(probed(live), probed(counts))
        worker.has_answered |= finding is not None and finding.state != "down"
        finding = _working(worker) if finding == UP else finding
        worker.finding = finding if worker.has_answered else NOT_REACHED

    def findings(self) -> dict[str, Finding | None]:
        """By name: bff, bff-2, transactions, …; of a kind that nobody is, the first one is down.

        None of such a kind before Kafka has said who is in the groups.
        """
        found: dict[str, Finding | None] = {}
        for kind in KINDS:
            named = self._named(kind)
            found |= {name: self._all[address].finding for name, address in named.items()}
            if not named:
                found[kind] = Finding("down", "in no consumer group") if self._has_seen_groups else None
        return found

    def ages(self) -> dict[int, float]:
        """How old the oldest record of transaction_created in hand is, by partition, as those say that answered."""
        return {
            int(labels["partition"]): seconds
            for worker in self._all.values()
            if worker.finding is None or worker.finding.state != "down"
            for labels, seconds in samples.chosen(worker.counts, OLDEST, topic=topics.CREATED)
        }

    def processes(self) -> dict[str, str]:
        """The process that each is, by name: main is both kinds."""
        return {
            name: name.replace(kind, MAIN.name, 1) if address.role == MAIN.name else name
            for kind in KINDS
            for name, address in self._named(kind).items()
        }

    def _named(self, kind: str) -> dict[str, Address]:
        ours = [address for address in self._all if kind in kinds_of(address.role)]
        names = self._numbers[kind].names(ours)
        return {names[address]: address for address in sorted(ours, key=lambda a: names[a])}

    def risen(self) -> dict[str, Mapping[Key, float]]:
        """What each process has counted since the look before."""
        processes = self.processes()
        return {
            processes[name]: self._all[address].risen
            for kind in KINDS
            for name, address in self._named(kind).items()
        }


def _working(worker: Worker) -> Finding:
    """What one is that is alive: it may stand before a batch that nobody can read."""
    return HOLDING if next(samples.chosen(worker.counts, HELD), None) else UP


def _note(worker: Worker, counts: Counts) -> None:
    worker.risen = samples.risen(worker.counts, counts) if worker.counts else {}
    worker.counts = counts
