"""What the pipeline's benchmark says: each side's rates and CPU, and ours beside the others'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.backlog import DEFAULT_BATCH, SEED, SideRun
from benchmarks.cpu import CASSANDRA
from benchmarks.environment import locked
from benchmarks.feeding import ARRIVED_AT
from benchmarks.result import Figure, Plot, Result, Table, number
from benchmarks.sides import FASTSTREAM, LOOP, OURS, PLAIN_FAUST, QUIX, Side

#: Ours to each peer, at least.
TARGETS = ((LOOP, 0.95), (FASTSTREAM, 1.0), (QUIX, 1.0), (PLAIN_FAUST, 3.0))
OWN_CPU_TO_LOOP = 1.3
STACK_CPU = 250.0  # microseconds a transaction
ANTIFRAUD = ("envoy", "antifraud-1", "antifraud-2")


@dataclass
class Measured:
    """A side and what was seen of it."""

    side: Side
    count: int
    batch: int = DEFAULT_BATCH
    killed: SideRun | None = None
    swept: dict[int, SideRun] = field(default_factory=dict)
    runs: list[SideRun] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Transactions a second, by round."""
        return [run.rate for run in self.runs]

    def own(self) -> list[float]:
        """CPU microseconds a transaction of its own process, by round."""
        return [run.each(self.side.part) for run in self.runs]

    def all_runs(self) -> list[SideRun]:
        """Also those before the rounds."""
        return [*([self.killed] if self.killed else []), *self.swept.values(), *self.runs]


def result(sides: Sequence[Measured], quick: bool) -> Result:
    """All of it."""
    batched = [one for one in sides if one.side.batched]  # one event at a time costs a hundred times as much
    return Result(
        "Pipeline throughput",
        {"arrived at": ARRIVED_AT, "seed": SEED, **locked("faststream", "quixstreams", "confluent-kafka")},
        _figures({one.side.group: one for one in sides}),
        [_overview(sides), cpu(sides), *([] if quick else [_sweep(sides)])],
        [f"{one.side.title}: {fault}" for one in sides for run in one.all_runs() for fault in run.faults],
        {one.side.title: _raw(one) for one in sides},
        [
            _bars("rates", "Transactions a second", "a second", sides, lambda run: run.rate),
            _bars("cpu", "CPU of the whole stack", "µs a transaction", batched, lambda run: run.stack),
        ],
    )


def _figures(by_group: Mapping[str, Measured]) -> list[Figure]:
    ours, loop = by_group[OURS.group], by_group[LOOP.group]
    others = [one for one in by_group.values() if one not in (ours, loop)]
    fastest = max(others, key=lambda one: median(one.rates))
    return [
        Figure(
            "this worker", ours.rates, "a second", peer="old system, with its own packages: 5.9"
        ),
        *(
            _ratio(f"to {side.title}", ours.rates, by_group[side.group].rates, least)
            for side, least in TARGETS
        ),
        _ratio(f"{LOOP.title}, to the fastest other peer", loop.rates, fastest.rates, 1.0),
        Figure(
            "CPU of its own process", ours.own(), "µs", peer=f"{LOOP.title}: {number(median(loop.own()))}"
        ),
        Figure("the same, to the loop's", pairs(ours.own(), loop.own()), "times", at_most=OWN_CPU_TO_LOOP),
        Figure("CPU of the whole stack", [run.stack for run in ours.runs], "µs", at_most=STACK_CPU),
    ]  # fmt: skip


def _ratio(name: str, ours: Sequence[float], theirs: Sequence[float], least: float) -> Figure:
    said = f"{number(median(theirs))} a second"
    return Figure(name, pairs(ours, theirs), "times", at_least=least, peer=said)


def pairs(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, as far as both have one: the sides of a round met the same machine."""
    return [one / other for one, other in zip(ours, theirs, strict=False)]


def _overview(sides: Sequence[Measured]) -> Table:
    header = [
        "",
        "a second: median",
        "lowest",
        "highest",
        "at a time",
        "transactions",
        "rounds",
        "killed once",
    ]
    rows = [
        (
            one.side.title,
            *(number(value) for value in (median(one.rates), min(one.rates), max(one.rates))),
            str(one.batch) if one.side.batched else "1",
            f"{one.count:,}",
            str(len(one.runs)),
            "wrong" if one.killed and one.killed.faults else "nothing lost",
        )
        for one in sides
    ]
    return Table("Each side", header, rows)


def cpu(sides: Sequence[Measured]) -> Table:
    """What a transaction costs each part of the stack, by side."""
    kinds: dict[str, Callable[[Measured, SideRun], float]] = {
        "its own process": lambda one, run: run.each(one.side.part),
        "Cassandra, three": lambda _, run: run.each(*CASSANDRA),
        "Kafka": lambda _, run: run.each("kafka"),
        "bff": lambda _, run: run.each("bff"),
        "Redis": lambda _, run: run.each("redis"),
        "Envoy, antifraud": lambda _, run: run.each(*ANTIFRAUD),
        "all of the stack": lambda _, run: run.stack,
        "all of the machine": lambda _, run: run.each(*run.spent),
    }
    rows = [
        [one.side.title, *(number(median(kind(one, run) for run in one.runs)) for kind in kinds.values())]
        for one in sides
    ]
    title = "CPU microseconds a transaction, in the time of the rate, medians"
    return Table(title, ("", *kinds), rows)


def _sweep(sides: Sequence[Measured]) -> Table:
    batched = [one for one in sides if one.side.batched]
    rows = [[one.side.title, *(number(run.rate) for run in one.swept.values())] for one in batched]
    title = (
        f"Transactions a second by batch size, {batched[0].swept[DEFAULT_BATCH].count:,} transactions each"
    )
    return Table(title, ("", *map(str, batched[0].swept)), rows)


def _bars(
    name: str, title: str, unit: str, sides: Sequence[Measured], of: Callable[[SideRun], float]
) -> Plot:
    series = {
        one.side.title: [(float(number), of(run)) for number, run in enumerate(one.runs, 1)] for one in sides
    }
    return Plot(name, f"{title}, by round", "round", unit, series, "bars")


def _raw(one: Measured) -> dict[str, object]:
    return {
        "batch": one.batch,
        "transactions": one.count,
        "rates": one.rates,
        "until it had its partitions, s": [round(run.until_assigned, 3) for run in one.runs],
        "until its first commit, s": [round(run.until_first_commit, 3) for run in one.runs],
        "CPU seconds": [run.spent for run in one.runs],
        "swept": {batch: run.rate for batch, run in one.swept.items()},
    }
