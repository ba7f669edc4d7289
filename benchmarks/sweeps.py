"""The worker in other measures: batches of other sizes, and several of it; a backlog through each, in turn."""

import asyncio
from collections.abc import Mapping, Sequence

from benchmarks import feeding, progress, stage
from benchmarks.feeding import Run

WARM_UP = 3_000  # transactions through a worker that has just started
JOINED_WITHIN = 60.0

Runs = Mapping[int, list[Run]]


async def batch_sizes(sizes: Sequence[int], rounds: int, count: int, seed: int) -> Runs:
    """BATCH_SIZE -> a run a round; the worker is as it was at the end."""
    runs: dict[int, list[Run]] = {size: [] for size in sizes}
    try:
        for number in range(rounds):
            for size in sizes:
                print(f"  BATCH_SIZE={size}, round {number + 1}", flush=True)
                await asyncio.to_thread(_restarted, {"BATCH_SIZE": str(size)})
                runs[size].append(await _warm_run(1, count, seed + number))
    finally:
        await asyncio.to_thread(_restarted, {})
    return runs


async def workers(numbers: Sequence[int], rounds: int, count: int, seed: int) -> Runs:
    """Number of workers -> a run a round; one is left at the end."""
    runs: dict[int, list[Run]] = {number: [] for number in numbers}
    try:
        for turn in range(rounds):
            for number in numbers:
                print(f"  {number} workers, round {turn + 1}", flush=True)
                await asyncio.to_thread(stage.scale, number)
                runs[number].append(await _warm_run(number, count, seed + turn))
    finally:
        await asyncio.to_thread(stage.scale, 1)
    return runs


def _restarted(environment: dict[str, str]) -> None:
    stage.stop(stage.WORKER)
    stage.start(stage.WORKER, environment)


async def _warm_run(workers: int, count: int, seed: int) -> Run:
    async with progress.group() as group, asyncio.timeout(JOINED_WITHIN):
        while await group.workers() != workers:  # noqa: ASYNC110  # other processes' state
            await asyncio.sleep(0.2)
    await feeding.through(WARM_UP, seed)
    return await feeding.through(count, seed)
