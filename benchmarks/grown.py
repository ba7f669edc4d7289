"""What the growth benchmark has seen: kept as raw figures, drawn as plots."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from benchmarks import reads
from benchmarks.feeding import Run
from benchmarks.result import Plot
from benchmarks.sweeps import Runs
from reconciliation.summary import percentile

WORKERS = ("transactions", "bff")


@dataclass(frozen=True)
class Sample:
    """A look in passing: time.monotonic(), transactions stored, megabytes by process."""

    at: float
    stored: int
    memory: Mapping[str, float]


@dataclass(frozen=True)
class Stored:
    """With so many stored: one run a round, the GETs, memory afterwards."""

    size: int
    runs: Sequence[Run]
    gets: reads.Gets
    memory: Mapping[str, float]


@dataclass(frozen=True)
class Grown:
    """All of the way up."""

    stored: list[Stored] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


def plots(grown: Grown, sizes: Runs, workers: Runs) -> list[Plot]:
    """Lines over what is stored, batch sizes, workers."""

    def points(runs: Mapping[int, Sequence[Run]]) -> list[tuple[float, float]]:
        return [(key, median(run.rate for run in of_key)) for key, of_key in runs.items()]

    by_size = {one.size: one.runs for one in grown.stored}
    gets = {
        f"{kind.what}, {kind.source}": [
            (one.size, 1e3 * percentile(one.gets[kind].seconds, 50)) for one in grown.stored
        ]
        for kind in grown.stored[0].gets
        if kind.clients == 1
    }
    kept = {name: [(s.stored, s.memory[name]) for s in grown.samples] for name in WORKERS}
    return [
        Plot("rate", "Throughput with so many stored", "stored", "a second", {"a backlog": points(by_size)}),
        Plot("gets", "GETs with so many stored, p50, one client", "stored", "ms", gets),
        Plot("memory", "Memory of the workers while it grows", "stored", "MB", kept),
        Plot(
            "batch-size", "Throughput by BATCH_SIZE", "BATCH_SIZE", "a second", {"a backlog": points(sizes)}
        ),
        Plot(
            "workers", "Throughput by workers", "workers", "a second", {"a backlog": points(workers)}, "bars"
        ),
    ]


def raw(grown: Grown, sizes: Runs, workers: Runs) -> dict[str, Any]:
    """All of it, for report.json."""

    def plain(runs: Mapping[int, Sequence[Run]]) -> dict[str, Any]:
        return {str(key): [asdict(run) for run in of_key] for key, of_key in runs.items()}

    return {
        "runs by stored": plain({one.size: one.runs for one in grown.stored}),
        "runs by BATCH_SIZE": plain(sizes),
        "runs by workers": plain(workers),
        "GETs, ms": {
            f"{one.size}: {asked.what} from {asked.source}, {asked.clients}": [
                round(1e3 * s, 2) for s in calls.seconds
            ]
            for one in grown.stored
            for asked, calls in one.gets.items()
        },
        "in passing (s, stored, MB)": [
            [
                round(s.at - grown.samples[0].at, 2),
                s.stored,
                {name: round(s.memory[name]) for name in WORKERS},
            ]
            for s in grown.samples
        ],
    }
