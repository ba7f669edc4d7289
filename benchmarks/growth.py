"""Growth: what one more transaction and one more GET cost with few and with many stored, by batch size, by workers."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import feeding, memory, reads, report, stage, sweeps
from benchmarks.feeding import Run
from benchmarks.grown import Grown, Sample, Stored
from benchmarks.growth_report import result
from benchmarks.result import Result
from reconciliation.recovery import empty_table

SEED = 7


@dataclass(frozen=True)
class Plan:
    """How much of what."""

    sizes: Sequence[int]
    rounds: int
    backlog: int
    calls: int
    sweep: int  # transactions a run
    batch_sizes: Sequence[int]
    workers: Sequence[int]


FULL = Plan((10_000, 100_000, 1_000_000), 3, 25_000, 300, 20_000, (100, 500, 2000, 5000), (1, 2, 4))
QUICK = Plan((2_000, 10_000, 30_000), 1, 2_500, 50, 2_500, (500, 2000), (1, 2))


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up and has nothing stored."""
    plan = QUICK if quick else FULL
    await asyncio.to_thread(empty_table)
    grown = await _grown(plan, await feeding.fed(), cold=not quick)
    print("batch sizes, then workers ...", flush=True)
    sizes = await sweeps.batch_sizes(plan.batch_sizes, plan.rounds, plan.sweep, SEED)
    workers = await sweeps.workers(plan.workers, plan.rounds, plan.sweep, SEED)
    return result(grown, sizes, workers, vars(plan))


async def _grown(plan: Plan, before: int, *, cold: bool) -> Grown:
    """One worker and one bff, from the first transaction to the last; the log had so many `before`.

    `cold`: no list was read yet, and many are to be before one counts.
    """
    grown, ids = Grown(), list[str]()
    for size in plan.sizes:
        print(f"filling up to {size:,} ...", flush=True)
        ids += await feeding.fill(before + size, SEED, lambda done: _look(grown.samples, done - before))
        if cold and not grown.stored:
            await reads.warm_up()
        await feeding.settled()
        print(f"  {plan.calls} GETs of each kind, then {plan.rounds} x {plan.backlog:,} more", flush=True)
        gets = await reads.timed(plan.calls, random.Random(SEED).sample(ids, min(plan.calls, len(ids))))
        runs = [await _round(grown.samples, size, plan.backlog, number) for number in range(plan.rounds)]
        grown.stored.append(Stored(size, runs, gets, memory.resident()))
    return grown


def _look(samples: list[Sample], done: int) -> None:
    samples.append(Sample(time.monotonic(), done, memory.resident()))


async def _round(samples: list[Sample], size: int, count: int, number: int) -> Run:
    await feeding.settled()
    run = await feeding.through(count, SEED + number)
    _look(samples, size + (number + 1) * count)
    return run


if __name__ == "__main__":
    report.command("growth", measure, stage.ready_and_empty)
