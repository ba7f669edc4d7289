"""One side's way through a backlog: fed while it is stopped, watched until all of it is committed, then checked."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks import checking, cpu, progress, traffic
from benchmarks.feeding import ARRIVED_AT, Run
from benchmarks.progress import Group, Seen
from benchmarks.sides import Side
from benchmarks.traffic import CREATED, STATUS

BOUND = 180.0  # seconds
SEED = 4
DEFAULT_BATCH = 2000  # as app/settings.py has it


@dataclass(frozen=True)
class SideRun(Run):
    """Seconds run from the moment it had its partitions to its last commit; those before and to its first, apart."""

    until_assigned: float
    until_first_commit: float
    faults: Sequence[str] = ()


async def through(side: Side, count: int, batch: int = DEFAULT_BATCH, *, kill: bool = False) -> SideRun:
    """Feed, start, watch, stop, check. With `kill` it is killed once in the middle of its work, and started again.

    Whoever else worked on the topic must have been stopped.
    """
    async with progress.group(side.group) as group:
        await left(group)
        await group.skip()
        published_from, offsets_from = await _ends(group, STATUS), await _ends(group, CREATED)
        transactions = list(traffic.arrived(count, ARRIVED_AT, SEED))
        await traffic.feed(traffic.sampled(traffic.encoded(transactions), side.sampled))
        try:
            run = await _watched(group, side, batch, kill)
        finally:
            await asyncio.to_thread(side.stop)
    faults = await checking.faults(transactions, published_from, offsets_from, once=side.publishes_once)
    return replace(run, faults=faults)


async def left(group: Group) -> None:
    """Until nobody is in the group."""
    async with asyncio.timeout(progress.SESSION + 10):
        while not await group.is_left():  # noqa: ASYNC110  # other processes' state
            await asyncio.sleep(0.2)


async def _ends(group: Group, topic: str) -> dict[int, int]:
    return {tp.partition: end for tp, end in (await group.ends(topic)).items()}


async def _watched(group: Group, side: Side, batch: int, kill: bool) -> SideRun:
    before, end = await group.committed(), await group.end()
    started = time.monotonic()
    side.start(batch)
    try:
        async with asyncio.timeout(BOUND):
            await until_assigned(group, side)
            assigned, used = time.monotonic(), cpu.used(side.pids())
            seen = list[Seen]()
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
    seconds, first = seen[-1].at - assigned, seen[0].at - assigned
    return SideRun(end - before, seconds, spent, assigned - started, first)


async def until_assigned(group: Group, side: Side) -> None:
    """Until it has its partitions."""
    while not await group.workers():
        side.check()
        await asyncio.sleep(progress.EVERY)


async def drained(group: Group) -> None:
    """Wait until the worker has nothing left to do."""
    async with asyncio.timeout(BOUND):
        async for _ in group.until(await group.end()):
            pass
