"""A backlog put before workers that run and have nothing to do: how quickly it is worked off, and what that costs."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks import cpu, progress, traffic
from benchmarks.progress import Group

ARRIVED_AT = 500.0  # a second, in the ids' times: the backlog of a worker that was down for some minutes
CHUNK = 30_000
ONE_OF = 50  # so many fed transactions the id of one is kept
BOUND = 300.0  # seconds for one backlog, or for one chunk of a filling
#: Transactions through a stack that was started a moment ago: so long Java's compilers go on making Cassandra faster.
#: Measured in steps of 80,000, CPU microseconds of the whole stack a transaction: 578, 460, 372, 322, 275, 242, then
#: no lower.
WARM_UP = 400_000
SEED = 9
#: Cores of all (idle it uses 0.2), of any one process (idle 0.06; a worker that catches up with the log uses more),
#: seconds of a look, seconds.
QUIET, QUIET_EACH, LOOK, QUIET_WITHIN = 0.4, 0.12, 2.0, 60.0


@dataclass(frozen=True)
class Run:
    """One backlog's way: seconds, and CPU seconds by process until the bff had read the last status too."""

    count: int
    seconds: float
    spent: Mapping[str, float]

    @property
    def rate(self) -> float:
        """Transactions a second."""
        return self.count / self.seconds

    def each(self, *parts: str) -> float:
        """CPU microseconds a transaction of these processes."""
        return 1e6 * sum(self.spent.get(part, 0) for part in parts) / self.count

    @property
    def stack(self) -> float:
        """CPU microseconds a transaction of all that does the work: neither the benchmark nor strangers."""
        return self.each(*cpu.of_the_stack(self.spent))


async def through(count: int, seed: int) -> Run:
    """Feed so many and wait until they are done."""
    records = await _made(count, seed)
    async with progress.group() as group, progress.group("bff", traffic.STATUS) as statuses:
        await _done(group, await group.end())
        await _read(statuses)
        before, used, began = await group.committed(), cpu.used(), time.monotonic()
        feeding = asyncio.create_task(traffic.feed(records))
        ended = await _done(group, before + count)
        await feeding
        await _read(statuses)
        return Run(count, ended - began, cpu.between(used, cpu.used()))


async def warm_up() -> None:
    """Servers that were started a moment ago become as fast as they will be; what an earlier benchmark fed counts."""
    if (before := await fed()) < WARM_UP:
        print(f"warming up with {WARM_UP - before:,} transactions ...", flush=True)
        await fill(WARM_UP, SEED, lambda _: None)


async def fed() -> int:
    """How many records the log has."""
    async with progress.group() as group:
        return await group.end()


async def fill(wanted: int, seed: int, look: Callable[[int], None]) -> list[str]:
    """Feed until the log has `wanted`, and wait until all is done; some of the ids.

    `look` is told how many are done, chunk by chunk.
    """
    ids: list[str] = []
    async with progress.group() as group, progress.group("bff", traffic.STATUS) as statuses:
        fed = await group.end()
        while fed < wanted:
            chunk = min(CHUNK, wanted - fed)
            records = await _made(chunk, seed + fed)
            await traffic.feed(records)
            ids += [record.transaction_id for record in records[::ONE_OF]]
            await _done(group, fed)  # while the next is made and fed, this one is worked on
            look(fed)
            fed += chunk
        await _done(group, fed)
        look(fed)
        await _read(statuses)
    return ids


async def _made(count: int, seed: int) -> list[traffic.Record]:
    return await asyncio.to_thread(lambda: list(traffic.backlog(count, ARRIVED_AT, seed)))


async def _done(group: Group, records: int) -> float:
    """When (time.monotonic()) so many were committed."""
    at = time.monotonic()
    async with asyncio.timeout(BOUND):
        async for seen in group.until(records):
            at = seen.at
    return at


async def _read(statuses: Group) -> None:
    """Until the bff has read all that was told; the mark behind a partition's last transaction is no record."""
    async with asyncio.timeout(BOUND):
        while await statuses.committed() < await statuses.end() - traffic.PARTITIONS:  # noqa: ASYNC110
            await asyncio.sleep(progress.EVERY)


async def settled() -> None:
    """Until the stack is idle again (Cassandra compacts behind a filling), or that has taken too long."""
    deadline = time.monotonic() + QUIET_WITHIN
    while time.monotonic() < deadline:
        before = cpu.used()
        await asyncio.sleep(LOOK)
        spent = cpu.of_the_stack(cpu.between(before, cpu.used())).values()
        if sum(spent) < QUIET * LOOK and max(spent) < QUIET_EACH * LOOK:
            return
