"""Pipeline throughput: a backlog in Kafka until decided, published, stored and committed; ours and four peers."""

import asyncio
from collections.abc import Sequence

from benchmarks import backlog, feeding, progress, report, stage
from benchmarks.backlog import SideRun, through
from benchmarks.comparison import Measured, result
from benchmarks.result import Result
from benchmarks.sides import OURS, SIDES
from reconciliation.recovery import empty_table

BATCHES = (500, 2000, 5000)
BATCH_KILLED = 500  # leaves room for a kill in the middle
ROUNDS = 5  # of the sides with batches, which differ by less than one run of a side from its next
SECONDS = 30  # of each side's work


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up and has nothing stored."""
    await asyncio.to_thread(stage.stop, stage.WORKER)
    sides = [Measured(side, count=side.trial) for side in SIDES]
    try:
        for one in sides:
            one.killed = await went(one, BATCH_KILLED, "killed once", kill=True)
        if not quick:
            for one in sides:
                await _choose(one)
        await _rounds(sides, 1 if quick else ROUNDS)
    finally:
        await _as_it_was()
    return result(sides, quick)


async def _choose(one: Measured) -> None:
    """The batch size at which it is fastest, and how much it does of it in the time."""
    sizes = BATCHES if one.side.batched else (one.batch,)
    one.count = (4 if one.side.batched else 2) * one.side.trial
    one.swept = {batch: await went(one, batch, "to choose its batch size") for batch in sizes}
    one.batch = max(one.swept, key=lambda batch: one.swept[batch].rate)
    one.count = int(round(SECONDS * one.swept[one.batch].rate, -3 if one.side.batched else -1))


async def _rounds(sides: Sequence[Measured], rounds: int) -> None:
    """One after the other, each time another one first, and every other time backwards: neighbours matter."""
    for number in range(rounds):
        for one in [*sides[number:], *sides[:number]][:: -1 if number % 2 else 1]:
            if one.side.batched or number == 0:
                one.runs.append(await went(one, one.batch, f"round {number + 1} of {rounds}"))


async def went(one: Measured, batch: int, what: str, *, kill: bool = False) -> SideRun:
    """Through a backlog, onto an empty table, on a stack that has settled; says so."""
    said = f", {batch} at a time" if one.side.batched else ""
    print(f"{one.side.title}, {what}: {one.count:,} transactions{said} ...", end="", flush=True)
    # Else who comes later pays for what Cassandra flushes and compacts of those before.
    await asyncio.to_thread(empty_table)
    await feeding.settled()
    run = await through(one.side, one.count, batch, kill=kill)
    print(f" {run.rate:,.0f} a second{'; WRONG: ' if run.faults else ''}{'; '.join(run.faults)}", flush=True)
    return run


async def _as_it_was() -> None:
    """Our worker runs again, and passes over what is done."""
    async with progress.group(OURS.group) as group:
        await backlog.left(group)
        await group.skip()
    await asyncio.to_thread(stage.start, stage.WORKER)


if __name__ == "__main__":
    report.command("throughput", measure, stage.ready_and_empty)
