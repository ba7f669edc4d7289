"""What the growth benchmark found, in figures, tables and plots."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks import reads
from benchmarks.feeding import Run
from benchmarks.grown import WORKERS, Grown, Stored, plots, raw
from benchmarks.result import Figure, Result, Table, number, spread
from benchmarks.sweeps import Runs
from reconciliation.summary import percentile

OLD = "old system: 197 to 250 (10,000 entries, all of them)"


def result(grown: Grown, sizes: Runs, workers: Runs, plan: Mapping[str, Any]) -> Result:
    """The benchmark's part of the report."""
    return Result(
        "Growth",
        {name: list(value) if isinstance(value, tuple) else value for name, value in plan.items()},
        [*_costs(grown.stored), *_gets(grown.stored), *_memory(grown.stored)],
        [
            _table("With so many stored", "stored", {one.size: one.runs for one in grown.stored}),
            _gets_table(grown.stored),
            _memory_table(grown.stored),
            _table("By BATCH_SIZE", "BATCH_SIZE", sizes),
            _table("By number of transactions workers", "workers", workers),
        ],
        raw=raw(grown, sizes, workers),
        plots=plots(grown, sizes, workers),
    )


def _costs(stored: Sequence[Stored]) -> list[Figure]:
    few, most = stored[0], stored[-1]
    rates = [Figure.of_rounds(f"rate with {one.size:,} stored", [run.rate for run in one.runs], "a second")
             for one in stored]  # fmt: skip
    cpu = [median(run.stack for run in one.runs) for one in (few, most)]
    return [
        *rates,
        Figure("seconds of one more with most stored, of those with fewest", 100 * rates[0].value / rates[-1].value,
               "%", at_most=110),
        Figure("CPU of one more with most stored, of that with fewest", 100 * cpu[1] / cpu[0], "%", at_most=110,
               peer=f"{number(cpu[1])} and {number(cpu[0])} µs, the whole stack"),
    ]  # fmt: skip


def _gets(stored: Sequence[Stored]) -> list[Figure]:
    """One client's, the slowest of all sizes."""
    kinds = [asked for asked in stored[0].gets if asked.clients == 1]
    return [
        Figure(f"GET {kind.what} from {kind.source}, p50, the slowest of all sizes",
               1e3 * max(percentile(one.gets[kind].seconds, 50) for one in stored), "ms", at_most=20,
               peer=OLD if kind.what == reads.NEWEST else "")
        for kind in kinds
    ]  # fmt: skip


def _memory(stored: Sequence[Stored]) -> list[Figure]:
    middle, most = stored[1], stored[-1]
    return [
        Figure(f"memory of {name} with most stored, of that with {middle.size:,}",
               100 * most.memory[name] / middle.memory[name], "%", at_most=110,
               peer=f"{most.memory[name]:.0f} and {middle.memory[name]:.0f} MB")
        for name in WORKERS
    ]  # fmt: skip


def _table(title: str, what: str, runs: Runs | Mapping[int, Sequence[Run]]) -> Table:
    rows = [
        [
            f"{key:,}",
            spread([run.rate for run in of_key]),
            spread([run.stack for run in of_key]),
            spread([sum(run.each(name) for name in run.spent if _is_worker(name)) for run in of_key]),
        ]
        for key, of_key in runs.items()
    ]
    return Table(title, [what, "a second", "CPU of the stack, µs each", "of that the workers'"], rows)


def _is_worker(name: str) -> bool:
    return name.startswith("transactions")


def _gets_table(stored: Sequence[Stored]) -> Table:
    rows = [
        [f"{one.size:,}", *reads.row(asked, calls)] for one in stored for asked, calls in one.gets.items()
    ]
    return Table("GETs with so many stored", ["stored", *reads.HEADER], rows)


def _memory_table(stored: Sequence[Stored]) -> Table:
    rows = [[name, *(f"{one.memory[name]:.0f}" for one in stored)] for name in stored[0].memory]
    return Table(
        "Memory, MB, after the rounds with so many stored",
        ["process", *(f"{s.size:,}" for s in stored)],
        rows,
    )
