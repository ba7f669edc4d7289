"""What the pipeline's benchmark says: each side's rates and CPU, and ours beside the others'."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from benchmarks.backlog import ARRIVED_AT, DEFAULT_BATCH, SEED, Run
from benchmarks.cpu import CASSANDRA
from benchmarks.environment import locked
from benchmarks.feeding import WARM_UP
from benchmarks.result import Figure, Plot, Result, Table, number
from benchmarks.sides import FASTSTREAM, LOOP, OURS, PLAIN_FAUST, QUIX, Side

#: Ours to each peer, at least.
TARGETS = ((LOOP, 0.95), (FASTSTREAM, 1.0), (QUIX, 1.0), (PLAIN_FAUST, 3.0))
OWN_CPU_TO_LOOP = 1.3
STACK_CPU = 250.0  # microseconds a transaction
ANTIFRAUD = ("envoy", "antifraud-1", "antifraud-2")

METHOD = """\
Five programs do the transactions worker's work in its place, one process each, on the same running stack, each with
its own consumer group: this worker, and the programs in `benchmarks/peers/`. (a), (b) and (c) call the app's own
steps and clients (`app.processing`, `app.messaging`, `app.stores`), so they give the same guarantees (assessed
through Envoy by both replicas, told with acks=all by the partition's one writer before it is stored, stored at
LOCAL_QUORUM with replication 3, committed after both; a verdict that is in the log is not decided again) and differ
in the frame around them: this worker and (a) begin the next batch while one is published or stored, (b) and (c) take
one after another, (c) ends a batch also when 0.25 s are over. (d) is an agent as Faust's user guide teaches it, on
the same version of Faust: one assessment, one send that is waited for, one insert an event. None has
uvloop. Kafka is one broker.

For a run all are stopped, transactions are written straight into `transaction_created`, Avro as the bff writes it,
with UUIDv7 ids and times as if they had come at {arrived:.0f} a second until now, and one side is started. The rate
counts all of them, from the moment its group is seen stable to the moment its last commit is seen (looked at every 50
ms): so the start of the process is not in it; its read of the status tail, its first batch and its last wait for a
commit (ours and (d) commit every 250 ms) are. The bff reads the statuses into Redis meanwhile. After every run each
transaction is looked for by its id in `transaction_status` and, at LOCAL_QUORUM, in Cassandra, and compared field by
field: one that is missing, published twice (by (d), after the kill: published with two verdicts), never
assessed, published otherwise than asked or stored otherwise than told is a fault.

Before each run the table is emptied (TRUNCATE), so that all write into the same: what a full one costs is the growth
benchmark's to tell; and the stack is left alone until it uses less than 40 % of a core, a minute at most.

First each side is killed once (`kill -9`) in the middle of its work and started again; then those with batches are
swept over {batches} records at a time (fetches of 2 MiB a partition for all); then {rounds}, each side with the batch
size at which it was fastest. {sizes}
"""
IN_THE_WAY = """\
The machine is full while a side with batches works, so its rate is what the cores give, divided by the CPU that one
transaction costs the whole stack. The side's own process is {own:.0f} of {stack:.0f} µs of that; the rest is the same
work of the same servers for all, and changes from run to run by more than the sides' own differ. Cassandra's three
nodes take {cassandra:.0f} µs: each row is written three times, and each time with an entry in the index that finds a
row by its id alone, as `cqlsh` must.
"""
FULL = (
    "five rounds, of (d) one, each beginning with another side, every second one in the other direction",
    f"Each side's backlog is about 30 s of its work. Before all that {WARM_UP:,} transactions make the servers warm.",
)
SHORT = ("one round", "Short backlogs and no sweep: good for a look, not for comparing.")


@dataclass
class Measured:
    """A side and what was seen of it."""

    side: Side
    count: int
    batch: int = DEFAULT_BATCH
    killed: Run | None = None
    swept: dict[int, Run] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @property
    def rates(self) -> list[float]:
        """Transactions a second, by round."""
        return [run.rate for run in self.runs]

    def own(self) -> list[float]:
        """CPU microseconds a transaction of its own process, by round."""
        return [run.micros(self.side.part) for run in self.runs]

    def all_runs(self) -> list[Run]:
        """Also those before the rounds."""
        return [*([self.killed] if self.killed else []), *self.swept.values(), *self.runs]


def result(sides: Sequence[Measured], quick: bool) -> Result:
    """All of it."""
    rounds, sizes = SHORT if quick else FULL
    batches = ", ".join(str(batch) for batch in sides[0].swept) or "no number of"
    batched = [one for one in sides if one.side.batched]  # one event at a time costs a hundred times as much
    return Result(
        "Pipeline throughput",
        METHOD.format(arrived=ARRIVED_AT, batches=batches, rounds=rounds, sizes=sizes),
        {"arrived at": ARRIVED_AT, "seed": SEED, **locked("faststream", "quixstreams", "confluent-kafka")},
        _figures({one.side.group: one for one in sides}),
        [_overview(sides), _cpu(sides), *([] if quick else [_sweep(sides)])],
        [f"{one.side.title}: {fault}" for one in sides for run in one.all_runs() for fault in run.faults],
        {one.side.title: _raw(one) for one in sides},
        [
            _bars("rates", "Transactions a second", "a second", sides, lambda run: run.rate),
            _bars("cpu", "CPU of the whole stack", "µs a transaction", batched, lambda run: run.of_stack),
        ],
        in_the_way(sides[0]),
    )


def in_the_way(ours: Measured) -> str:
    """In the words above, with what was measured."""
    return IN_THE_WAY.format(
        own=median(ours.own()),
        stack=median(run.of_stack for run in ours.runs),
        cassandra=median(run.micros(*CASSANDRA) for run in ours.runs),
    )


def _figures(by_group: Mapping[str, Measured]) -> list[Figure]:
    ours, loop = by_group[OURS.group], by_group[LOOP.group]
    others = [one for one in by_group.values() if one not in (ours, loop)]
    fastest = max(others, key=lambda one: median(one.rates))
    return [
        Figure.of_rounds(
            "this worker", ours.rates, "a second", peer="old system, with its own packages: 5.9"
        ),
        *(
            _ratio(f"to {side.title}", ours.rates, by_group[side.group].rates, least)
            for side, least in TARGETS
        ),
        _ratio(f"{LOOP.title}, to the fastest other peer", loop.rates, fastest.rates, 1.0),
        Figure.of_rounds(
            "CPU of its own process", ours.own(), "µs", peer=f"{LOOP.title}: {number(median(loop.own()))}"
        ),
        Figure.of_rounds("the same, to the loop's", _pairs(ours.own(), loop.own()), "times", at_most=OWN_CPU_TO_LOOP),
        Figure.of_rounds("CPU of the whole stack", [run.of_stack for run in ours.runs], "µs", at_most=STACK_CPU),
    ]  # fmt: skip


def _ratio(name: str, ours: Sequence[float], theirs: Sequence[float], least: float) -> Figure:
    said = f"{number(median(theirs))} a second"
    return Figure.of_rounds(name, _pairs(ours, theirs), "times", at_least=least, peer=said)


def _pairs(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Round by round, as far as both have one: the sides of a round met the same machine."""
    return [one / other for one, other in zip(ours, theirs, strict=False)]


def _overview(sides: Sequence[Measured]) -> Table:
    header = (
        "",
        "a second: median",
        "lowest",
        "highest",
        "at a time",
        "transactions",
        "rounds",
        "killed once",
    )
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


def _cpu(sides: Sequence[Measured]) -> Table:
    kinds: dict[str, Callable[[Measured, Run], float]] = {
        "its own process": lambda one, run: run.micros(one.side.part),
        "Cassandra, three": lambda _, run: run.micros(*CASSANDRA),
        "Kafka": lambda _, run: run.micros("kafka"),
        "bff": lambda _, run: run.micros("bff"),
        "Redis": lambda _, run: run.micros("redis"),
        "Envoy, antifraud": lambda _, run: run.micros(*ANTIFRAUD),
        "all of the stack": lambda _, run: run.of_stack,
        "all of the machine": lambda _, run: run.of_machine,
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


def _bars(name: str, title: str, unit: str, sides: Sequence[Measured], of: Callable[[Run], float]) -> Plot:
    series = {
        one.side.title: [(float(number), of(run)) for number, run in enumerate(one.runs, 1)] for one in sides
    }
    return Plot(name, f"{title}, by round", "round", unit, series, "bars")


def _raw(one: Measured) -> dict[str, object]:
    return {
        "batch": one.batch,
        "transactions": one.count,
        "rates": one.rates,
        "until it had its partitions, s": [round(run.assigned - run.started, 3) for run in one.runs],
        "until its first commit, s": [round(run.seen[0].at - run.assigned, 3) for run in one.runs],
        "CPU seconds": [run.spent for run in one.runs],
        "swept": {batch: run.rate for batch, run in one.swept.items()},
    }
