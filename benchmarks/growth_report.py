"""What the growth benchmark found, in figures, tables and plots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from benchmarks import reads
from benchmarks.feeding import Run
from benchmarks.result import Figure, Plot, Result, Table, number, spread
from reconciliation.summary import percentile

OLD = "old system: 197 to 250 (10,000 entries, all of them)"
FOLLOWED = ("transactions", "bff")  # processes whose memory is

Runs = Mapping[int, Sequence[Run]]


@dataclass(frozen=True)
class Sample:
    """A look in passing: time.monotonic(), transactions stored, megabytes by process."""

    at: float
    stored: int
    memory: Mapping[str, float]


@dataclass(frozen=True)
class Stored:
    """With so many stored: one run a round, the GETs, megabytes by process afterwards."""

    size: int
    runs: Sequence[Run]
    gets: reads.Gets
    memory: Mapping[str, float]


def result(
    stored: Sequence[Stored], samples: Sequence[Sample], workers: Runs, plan: Mapping[str, Any]
) -> Result:
    """The benchmark's part of the report."""
    by_size = {one.size: one.runs for one in stored}
    return Result(
        "Growth",
        {name: list(value) if isinstance(value, tuple) else value for name, value in plan.items()},
        [*_costs(stored), *_gets(stored), *_memory(stored)],
        [
            _table("With so many stored", "stored", by_size),
            _gets_table(stored),
            _memory_table(stored),
            _table("By number of transactions workers", "workers", workers),
        ],
        raw=_raw(stored, samples, workers),
        plots=[
            Plot("rate", "Throughput with so many stored", "stored", "a second", _points(by_size)),
            Plot("gets", "GETs with so many stored, p50, one client", "stored", "ms", _medians(stored)),
            Plot("memory", "Memory of the workers while it grows", "stored", "MB",
                 {name: [(look.stored, look.memory[name]) for look in samples] for name in FOLLOWED}),
            Plot("workers", "Throughput by workers", "workers", "a second", _points(workers), "bars"),
        ],
    )  # fmt: skip


def _costs(stored: Sequence[Stored]) -> list[Figure]:
    few, most = stored[0], stored[-1]
    rates = [
        Figure(f"rate with {one.size:,} stored", [run.rate for run in one.runs], "a second") for one in stored
    ]
    cpu = [median(run.stack for run in one.runs) for one in (few, most)]
    return [
        *rates,
        Figure("seconds of one more with most stored, of those with fewest", [100 * rates[0].value / rates[-1].value],
               "%", at_most=110),
        Figure("CPU of one more with most stored, of that with fewest", [100 * cpu[1] / cpu[0]], "%", at_most=110,
               peer=f"{number(cpu[1])} and {number(cpu[0])} µs, the whole stack"),
    ]  # fmt: skip


def _medians(stored: Sequence[Stored]) -> dict[str, list[tuple[float, float]]]:
    """Of each kind of GET by one client: what is stored, milliseconds."""
    return {
        f"{kind.what}, {kind.source}": [
            (one.size, 1e3 * percentile(one.gets[kind].seconds, 50)) for one in stored
        ]
        for kind in stored[0].gets
        if kind.clients == 1
    }


def _gets(stored: Sequence[Stored]) -> list[Figure]:
    """One client's, the slowest of all sizes."""
    return [
        Figure(f"GET {kind.replace(', ', ' from ')}, p50, the slowest of all sizes", [max(ms for _, ms in points)],
               "ms", at_most=20, peer=OLD if kind.startswith(reads.NEWEST) else "")
        for kind, points in _medians(stored).items()
    ]  # fmt: skip


def _memory(stored: Sequence[Stored]) -> list[Figure]:
    middle, most = stored[1], stored[-1]
    return [
        Figure(f"memory of {name} with most stored, of that with {middle.size:,}",
               [100 * most.memory[name] / middle.memory[name]], "%", at_most=110,
               peer=f"{most.memory[name]:.0f} and {middle.memory[name]:.0f} MB")
        for name in FOLLOWED
    ]  # fmt: skip


def _table(title: str, what: str, runs: Runs) -> Table:
    rows = [
        [
            f"{key:,}",
            spread([run.rate for run in of_key]),
            spread([run.stack for run in of_key]),
            spread([run.each(*(name for name in run.spent if name.startswith("transactions"))) for run in of_key]),
        ]
        for key, of_key in runs.items()
    ]  # fmt: skip
    return Table(title, [what, "a second", "CPU of the stack, µs each", "of that the workers'"], rows)


def _gets_table(stored: Sequence[Stored]) -> Table:
    rows = [
        [f"{one.size:,}", *reads.row(asked, calls)] for one in stored for asked, calls in one.gets.items()
    ]
    return Table("GETs with so many stored", ["stored", *reads.HEADER], rows)


def _memory_table(stored: Sequence[Stored]) -> Table:
    rows = [[name, *(f"{one.memory[name]:.0f}" for one in stored)] for name in stored[0].memory]
    header = ["process", *(f"{one.size:,}" for one in stored)]
    return Table("Memory, MB, after the rounds with so many stored", header, rows)


def _points(runs: Runs) -> dict[str, list[tuple[float, float]]]:
    return {"a backlog": [(key, median(run.rate for run in of_key)) for key, of_key in runs.items()]}


def _raw(stored: Sequence[Stored], samples: Sequence[Sample], workers: Runs) -> dict[str, Any]:
    """All of it, for report.json."""
    return {
        "runs by stored": {str(one.size): [asdict(run) for run in one.runs] for one in stored},
        "runs by workers": {str(key): [asdict(run) for run in of_key] for key, of_key in workers.items()},
        "GETs, ms": {
            f"{one.size}: {asked.what} from {asked.source}, {asked.clients}": [round(1e3 * s, 2) for s in calls.seconds]
            for one in stored
            for asked, calls in one.gets.items()
        },
        "in passing (s, stored, MB)": [
            [round(look.at - samples[0].at, 2), look.stored, {name: round(look.memory[name]) for name in FOLLOWED}]
            for look in samples
        ],
    }  # fmt: skip
