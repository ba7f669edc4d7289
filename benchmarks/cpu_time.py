"""Where the time goes: CPU of each process for one transaction, and in our worker by stage."""

import asyncio
from collections.abc import Sequence
from operator import sub
from statistics import median

from benchmarks import cpu, feeding, report, stage
from benchmarks.cpu import Threads
from benchmarks.feeding import Run
from benchmarks.profiler import RATE, watching
from benchmarks.result import Figure, Plot, Result, Table
from benchmarks.stages import microseconds
from infra.native import processes

SEED = 8

METHOD = """\
After at least {warm:,} transactions that are not counted, {rounds} rounds: {backlog}. CPU time is what the system has
counted for each process (user and system) from before the feeding until the bff had read the last status; feeding
itself is not the stack's. Then one backlog more, {profiled:,} transactions, while py-spy looks at the worker {rate}
times a second from outside: {samples:,} stacks of the thread that held Python's lock. A stack belongs to the stage of
its innermost frame that benchmarks/stages.py names: what asyncio or a future does inside a step is the step's; the
thread of the Cassandra driver is store's. The microseconds are those that the system has counted for the worker's
threads in the rounds without the profiler (main thread, Python's others, gRPC's own, which are assess's); the stacks
say how they are to be divided.
"""


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
    method = METHOD.format(
        warm=0 if quick else feeding.WARM_UP,
        rounds=rounds,
        backlog=feeding.METHOD,
        profiled=profiled,
        rate=RATE,
        samples=stacks.total(),
    )
    settings = {"rounds": rounds, "transactions a round": count, "profiled": profiled, "seed": SEED}
    each = Threads(*(1e6 * sum(seconds) / (rounds * count) for seconds in zip(*used, strict=True)))
    return _result(method, settings, runs, microseconds(stacks, each))


def _result(method: str, settings: dict[str, int], runs: Sequence[Run], stages: dict[str, float]) -> Result:
    """`stages`: microseconds a transaction of the worker."""
    names = sorted(runs[0].spent, key=lambda name: -runs[0].spent[name])
    each = {name: median(run.each(name) for run in runs) for name in names}
    figures = [
        Figure.of_rounds("CPU of the whole stack a transaction", [run.stack for run in runs], "µs", at_most=250),
        Figure.of_rounds("of that the transactions worker", [run.each(stage.WORKER) for run in runs], "µs"),
        Figure.of_rounds("meanwhile, transactions", [run.rate for run in runs], "a second"),
    ]  # fmt: skip
    return Result(
        "Where the time goes",
        method,
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
            Plot("processes", "CPU of one transaction, by process", "", "µs", _bars(each), "bars"),
            Plot("stages", "CPU of one transaction in the worker, by stage", "", "µs", _bars(stages), "bars"),
        ],
        in_the_way="Cassandra's three nodes, see the table by process: each row is written three times, each with an "
        "entry in the index that finds it by its id alone.",
    )  # fmt: skip


def _rows(microseconds: dict[str, float]) -> list[list[str]]:
    return [[name, f"{value:.1f}"] for name, value in microseconds.items()]


def _bars(microseconds: dict[str, float]) -> dict[str, list[tuple[float, float]]]:
    """What is not the stack's is left out."""
    ours = {name: value for name, value in microseconds.items() if name not in (cpu.OURSELVES, cpu.OTHERS)}
    return {name: [(0.0, value)] for name, value in ours.items()}


if __name__ == "__main__":
    report.command("cpu_time", measure)
