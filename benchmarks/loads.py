"""A load at a constant rate, and what the stack does under it: what is taken, decided and behind, and what it costs."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from statistics import median

import aiohttp

from benchmarks import arrivals, cpu, feeding, meanwhile, progress, stage
from benchmarks.lean_http import Client, client
from benchmarks.progress import Group
from generator.client import PATH
from infra.native import ports, processes
from reconciliation import readers

#: So many POSTs may be unanswered: a load beyond the capacity waits in the log, not with its clients.
CONNECTIONS = 256
LOOK = 0.5  # seconds between two looks at what is behind
#: Whose bytes are counted; Cassandra's nodes talk to each other at the second of their addresses.
SERVERS = {
    "bff": ["bff"], "kafka": ["kafka"], "redis": ["redis"], "envoy": ["envoy"],
    "cassandra": [*cpu.CASSANDRA], "antifraud": ["antifraud-1", "antifraud-2"],
}  # fmt: skip

Bytes = Mapping[tuple[str, str], float]  # by server, and the client's address


@dataclass(frozen=True)
class Observed:
    """One load, by the second: POSTs due, answered 201 and decided, micro-batches, cores by process, bytes by server.

    `behind`: transactions that were due and not decided yet, wherever they waited; the mean of all looks. `refused`:
    POSTs with another answer, from the beginning; they are not behind.
    """

    name: str
    seconds: float
    offered: float
    accepted: float
    decided: float
    rounds: float
    cores: Mapping[str, float]
    wire: Mapping[str, float]
    behind: float
    refused: int = 0

    @property
    def busy(self) -> float:
        """Cores of the stack and of the load; not those of strangers."""
        return sum(spent for part, spent in self.cores.items() if part != cpu.OTHERS)


def middle(some: Sequence[Observed]) -> Observed:
    """Of the same load, several times: each figure's median; `seconds` and `refused` are of all together."""
    first = some[0]
    return replace(
        first,
        seconds=sum(one.seconds for one in some),
        offered=median(one.offered for one in some),
        accepted=median(one.accepted for one in some),
        decided=median(one.decided for one in some),
        rounds=median(one.rounds for one in some),
        cores={name: median(one.cores.get(name, 0.0) for one in some) for name in first.cores},
        wire={name: median(one.wire.get(name, 0.0) for one in some) for name in first.wire},
        behind=median(one.behind for one in some),
        refused=sum(one.refused for one in some),
    )


async def observed(name: str, rate: float, seconds: float, seed: int, settle: float = 0.0) -> Observed:
    """POSTs at this rate; the first `settle` seconds are not counted. Nothing may be behind when it begins."""
    async with progress.group() as group, client(readers.bff_url(), CONNECTIONS) as calls:
        before = await group.committed()
        async with _posting(calls, rate, seed) as load:
            await asyncio.sleep(settle)
            found = await _watched(group, load, before, name, seconds)
    return replace(found, refused=load.refused)


async def _watched(group: Group, load: Load, before: int, name: str, seconds: float) -> Observed:
    first, opened = await _look(), connections()
    taken, decided = load.accepted, await group.committed()
    behind = list[int]()
    while time.monotonic() < first.at + seconds:
        await asyncio.sleep(LOOK)
        due = load.due - load.refused
        behind.append(due - (await group.committed() - before))
    last, closed = await _look(), connections()
    lasted = last.at - first.at
    return Observed(
        name,
        lasted,
        load.rate,
        (load.accepted - taken) / lasted,
        (await group.committed() - decided) / lasted,
        (last.rounds - first.rounds) / lasted,
        {part: spent / lasted for part, spent in cpu.between(first.spent, last.spent).items()},
        {server: total / lasted for server, total in carried(opened, closed).items()},
        sum(behind) / len(behind),
    )


@dataclass(frozen=True)
class _Look:
    """One moment: micro-batches decided so far (a worker that stands still decides none), CPU seconds by process."""

    at: float
    rounds: float
    spent: cpu.Seconds


async def _look() -> _Look:
    counts = dict[str, float]()
    if processes.states()[stage.WORKER].state == "running":
        url = f"http://{ports.endpoints(stage.WORKER)[0]}/metrics"
        async with aiohttp.ClientSession(raise_for_status=True) as session, session.get(url) as answer:
            meanwhile.read(await answer.text(), {}, counts)
    return _Look(time.monotonic(), counts.get(meanwhile.ROUND, 0.0), cpu.used())


class Load:
    """POSTs that are due at a constant rate, whatever the answers are; each waits for a free connection."""

    def __init__(self, calls: Client, rate: float, seed: int):
        """See `run`."""
        self.rate = rate
        self.due = self.accepted = self.refused = 0
        self._calls, self._bodies = calls, arrivals.bodies(seed)
        self._flying = set[asyncio.Task[None]]()

    async def run(self) -> None:
        """Until it is cancelled; what is due by then is still answered."""
        began = time.perf_counter()
        try:
            while True:
                if (wait := began + self.due / self.rate - time.perf_counter()) > 0:
                    await asyncio.sleep(wait)
                self.due += 1
                task = asyncio.create_task(self._post())
                self._flying.add(task)
                task.add_done_callback(self._flying.discard)
        finally:
            await asyncio.gather(*self._flying)

    async def _post(self) -> None:
        try:
            taken = (await self._calls.post(PATH, next(self._bodies))).status == 201
        except ConnectionError:
            taken = False
        self.accepted += taken
        self.refused += not taken


@asynccontextmanager
async def _posting(calls: Client, rate: float, seed: int) -> AsyncIterator[Load]:
    load = Load(calls, rate, seed)
    posting = asyncio.create_task(load.run())
    try:
        yield load
    finally:
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)


def connections() -> Bytes:
    """Bytes that each server has taken and sent so far, by connection; the kernel counts them, and `ss` asks it."""
    text = subprocess.run(["ss", "-tinHO"], capture_output=True, text=True, check=True).stdout
    return by_connection(
        text, {str(at): kind for kind in SERVERS for name in SERVERS[kind] for at in ports.endpoints(name)}
    )


def by_connection(text: str, servers: Mapping[str, str]) -> Bytes:
    """What `ss` says: of the two ends of each connection the server's, known by its address."""
    found = dict[tuple[str, str], float]()
    for line in text.splitlines():
        words = line.replace("[::ffff:", "").replace("]", "").split()
        if server := servers.get(words[3]):
            counts = [
                word.partition(":")[2]
                for word in words
                if word.startswith(("bytes_sent:", "bytes_received:"))
            ]
            found[server, words[4]] = sum(map(float, counts))
    return found


def carried(before: Bytes, after: Bytes) -> dict[str, float]:
    """Bytes by server from one look to the other; what a connection had carried that has ended since is lost."""
    found = dict.fromkeys(SERVERS, 0.0)
    for (server, client_), total in after.items():
        found[server] += total - before.get((server, client_), 0.0)
    return found


async def worked_off(count: int, seed: int) -> Observed:
    """A backlog that no POST brought: it is fed into the topic, and the worker has nothing else to do."""
    first, opened = await _look(), connections()
    run = await feeding.through(count, seed)
    last, closed = await _look(), connections()
    lasted = last.at - first.at
    return Observed(
        "a backlog",
        lasted,
        0.0,
        0.0,
        count / lasted,
        (last.rounds - first.rounds) / lasted,
        # Without what feeding it took.
        {part: spent / lasted for part, spent in run.spent.items() if part != cpu.OURSELVES},
        {server: total / lasted for server, total in carried(opened, closed).items()},
        0.0,
    )
