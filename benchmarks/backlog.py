"""One side's way through a backlog: fed while it is stopped, watched until all of it is committed, then checked."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import checking, cpu, progress, traffic
from benchmarks.progress import Group, Seen
from benchmarks.sides import OURS, Side
from benchmarks.traffic import CREATED

ARRIVED_AT = 500.0  # a second, in the ids' times: the backlog of a worker that was down for some minutes
BOUND = 180.0  # seconds
SEED = 4
DEFAULT_BATCH = 2000  # as app/settings.py has it


@dataclass(frozen=True)
class Run:
    """One backlog's way: moments (time.monotonic()), the commits seen, CPU seconds from `assigned` to the last."""

    count: int
    started: float
    assigned: float
    seen: Sequence[Seen]
    spent: dict[str, float]
    faults: Sequence[str] = ()

    @property
    def ended(self) -> float:
        """When the last commit was seen."""
        return self.seen[-1].at

    @property
    def rate(self) -> float:
        """Transactions a second from the moment the worker had its partitions."""
        return self.count / (self.ended - self.assigned)

    def micros(self, *parts: str) -> float:
        """CPU microseconds a transaction of these processes."""
        return 1e6 * sum(self.spent.get(part, 0) for part in parts) / self.count

    @property
    def of_stack(self) -> float:
        """CPU microseconds a transaction of all that does the work: neither the benchmark nor strangers."""
        return self.micros(*(part for part in self.spent if part not in (cpu.OURSELVES, cpu.OTHERS)))

    @property
    def of_machine(self) -> float:
        """CPU microseconds a transaction of all there is."""
        return self.micros(*self.spent)


async def through(side: Side, count: int, batch: int = DEFAULT_BATCH, *, kill: bool = False) -> Run:
    """Feed, start, watch, stop, check. With `kill` it is killed once in the middle of its work, and started again.

    Whoever else worked on the topic must have been stopped.
    """
    async with progress.group(side.group) as group:
        await left(group)
        await group.skip()
        published_from, offsets_from = await _ends(group, checking.STATUS), await _ends(group, CREATED)
        records = list(traffic.backlog(count, ARRIVED_AT, SEED))
        await traffic.feed(records)
        try:
            run = await _watched(group, side, batch, kill)
        finally:
            await asyncio.to_thread(side.stop)
    faults = await checking.faults(records, published_from, offsets_from, once=side.publishes_once)
    return Run(run.count, run.started, run.assigned, run.seen, run.spent, faults)


async def left(group: Group) -> None:
    """Until nobody is in the group."""
    async with asyncio.timeout(progress.SESSION + 10):
        while not await group.is_left():  # noqa: ASYNC110  # other processes' state
            await asyncio.sleep(0.2)


async def _ends(group: Group, topic: str) -> dict[int, int]:
    return {tp.partition: end for tp, end in (await group.ends(topic)).items()}


async def _watched(group: Group, side: Side, batch: int, kill: bool) -> Run:
    before, end = await group.committed(), await group.end()
    started = time.monotonic()
    side.start(batch)
    try:
        async with asyncio.timeout(BOUND):
            await _assigned(group, side)
            assigned, used = time.monotonic(), cpu.used(side.pids())
            seen = []
            async for now in group.until(end, more_than=before, check=side.check):
                seen.append(now)
                if kill and now.records > before + (end - before) / 5:
                    if now.records == end:
                        raise SystemExit(f"{side.title} was done before it could be killed")
                    await asyncio.to_thread(side.kill)
                    kill = False
                    side.start(batch)
            spent = cpu.between(used, cpu.used(side.pids()))
    except TimeoutError:
        raise SystemExit(
            f"{side.title}: not done within {BOUND:.0f} s; its log:\n{side.last_words()}"
        ) from None
    return Run(end - before, started, assigned, seen, spent)


async def _assigned(group: Group, side: Side) -> None:
    while not await group.is_assigned():
        side.check()
        await asyncio.sleep(progress.EVERY)


async def drained(group: Group) -> None:
    """Wait until the worker has nothing left to do."""
    async with asyncio.timeout(BOUND):
        async for _ in group.until(await group.end()):
            pass


async def processed(count: int) -> None:
    """Let our own worker, which runs, do so many more transactions."""
    await traffic.feed(traffic.backlog(count, ARRIVED_AT, SEED))
    async with progress.group(OURS.group) as group:
        await drained(group)
