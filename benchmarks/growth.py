"""Growth: what one more transaction and one more GET cost with few and with many stored; then, by number of workers."""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from benchmarks import feeding, progress, reads, report, stage
from benchmarks.feeding import Run
from benchmarks.growth_report import Runs, Sample, Stored, result
from benchmarks.result import Result
from infra.native import processes
from reconciliation.recovery import empty_table

SEED = 7
STARTED = 3_000  # transactions through workers that have just started, not counted
JOINED_WITHIN = 60.0


@dataclass(frozen=True)
class Plan:
    """How much of what."""

    sizes: Sequence[int]
    rounds: int
    backlog: int
    calls: int
    by_workers: int  # transactions a run
    workers: Sequence[int]


FULL = Plan((10_000, 100_000, 1_000_000), 3, 25_000, 300, 20_000, (1, 2, 4))
QUICK = Plan((2_000, 10_000, 30_000), 1, 2_500, 50, 2_500, (1, 2))


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up and has nothing stored."""
    plan = QUICK if quick else FULL
    await asyncio.to_thread(empty_table)
    stored, samples = await _grown(plan, await feeding.fed(), cold=not quick)
    return result(stored, samples, await _by_workers(plan), vars(plan))


async def _grown(plan: Plan, before: int, *, cold: bool) -> tuple[list[Stored], list[Sample]]:
    """One worker and one bff, from the first transaction to the last; the log had so many `before`.

    `cold`: no list was read yet, and many are to be before one counts.
    """
    stored, samples, ids = list[Stored](), list[Sample](), list[str]()

    def look(done: int) -> None:
        samples.append(Sample(time.monotonic(), done, _resident()))

    for size in plan.sizes:
        print(f"filling up to {size:,} ...", flush=True)
        ids += await feeding.fill(before + size, SEED, lambda done: look(done - before))
        if cold and not stored:
            await reads.warm_up()
        await feeding.settled()
        print(f"  {plan.calls} GETs of each kind, then {plan.rounds} x {plan.backlog:,} more", flush=True)
        gets = await reads.timed(plan.calls, random.Random(SEED).sample(ids, min(plan.calls, len(ids))))
        runs = list[Run]()
        for number in range(plan.rounds):
            await feeding.settled()
            runs.append(await feeding.through(plan.backlog, SEED + number))
            look(size + (number + 1) * plan.backlog)
        stored.append(Stored(size, runs, gets, _resident()))
    return stored, samples


def _resident() -> dict[str, float]:
    """Megabytes by process name."""
    pids = {name: part.pid for name, part in processes.states().items() if part.pid}
    return {name: psutil.Process(pid).memory_info().rss / 1e6 for name, pid in pids.items()}


async def _by_workers(plan: Plan) -> Runs:
    """Number of transactions workers -> a run a round, in turn; one is left at the end."""
    runs: dict[int, list[Run]] = {number: [] for number in plan.workers}
    try:
        for turn in range(plan.rounds):
            for number in plan.workers:
                print(f"{number} workers, round {turn + 1} ...", flush=True)
                await asyncio.to_thread(stage.scale, number)
                await _joined(number)
                await feeding.through(STARTED, SEED + turn)
                runs[number].append(await feeding.through(plan.by_workers, SEED + turn))
    finally:
        await asyncio.to_thread(stage.scale, 1)
    return runs


async def _joined(workers: int) -> None:
    async with progress.group() as group, asyncio.timeout(JOINED_WITHIN):
        while await group.workers() != workers:  # noqa: ASYNC110  # other processes' state
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    report.command("growth", measure, stage.ready_and_empty)
