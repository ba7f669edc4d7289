"""Where the time goes: CPU of each process for one transaction, and in our worker by stage."""

import asyncio
from collections.abc import Sequence
from operator import sub
from statistics import median

from benchmarks import cpu, feeding, report, stage
from benchmarks.cpu import Threads
from benchmarks.feeding import Run
from benchmarks.profiler import watching
from benchmarks.result import Figure, Result, Table, bars
from benchmarks.stages import microseconds
from infra.native import processes

SEED = 8


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    rounds, count, profiled = (1, 5_000, 10_000) if quick else (3, 30_000, 60_000)
    worker = processes.states()[stage.WORKER].pid
    if not worker:
        raise SystemExit("the transactions worker does not run")
    runs, used = list[Run](), list[Threads]()
    for number in range(rounds):
        await feeding.settled()
        print(f"round {number + 1}: {count:,} transactions ...", flush=True)
        before = cpu.by_thread(worker)
        runs.append(await feeding.through(count, SEED + number))
        used.append(Threads(*map(sub, cpu.by_thread(worker), before)))
    print(f"{profiled:,} transactions under the profiler ...", flush=True)
    async with watching(worker) as stacks:
        await asyncio.sleep(1)
        await feeding.through(profiled, SEED)
    settings = {
        "rounds": rounds, "transactions a round": count, "profiled": profiled, "seed": SEED,
        "stacks sampled": stacks.total(),
    }  # fmt: skip
    each = Threads(*(1e6 * sum(seconds) / (rounds * count) for seconds in zip(*used, strict=True)))
    return _result(settings, runs, microseconds(stacks, each))


def _result(settings: dict[str, int], runs: Sequence[Run], stages: dict[str, float]) -> Result:
    """`stages`: microseconds a transaction of the worker."""
    names = sorted(runs[0].spent, key=lambda name: -runs[0].spent[name])
    each = {name: median(run.each(name) for run in runs) for name in names}
    ours = cpu.of_the_stack(each)
    figures = [
        Figure("CPU of the whole stack a transaction", [run.stack for run in runs], "µs", at_most=250),
        Figure("of that the transactions worker", [run.each(stage.WORKER) for run in runs], "µs"),
        Figure("meanwhile, transactions", [run.rate for run in runs], "a second"),
    ]  # fmt: skip
    return Result(
        "Where the time goes",
        settings,
        figures,
        [
            Table("CPU microseconds a transaction, by process", ["process", "µs"], _rows(each)),
            Table("In the transactions worker, by stage", ["stage", "µs"], _rows(stages)),
        ],
        raw={
            "rounds, CPU seconds": [dict(run.spent) for run in runs],
            "stages, µs": stages,
        },
        plots=[
            bars("processes", "CPU of one transaction, by process", "µs", ours),
            bars("stages", "CPU of one transaction in the worker, by stage", "µs", stages),
        ],
    )  # fmt: skip


def _rows(microseconds: dict[str, float]) -> list[list[str]]:
    return [[name, f"{value:.1f}"] for name, value in microseconds.items()]


if __name__ == "__main__":
    report.command("cpu_time", measure)
