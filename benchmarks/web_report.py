"""What the HTTP benchmark hands back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.environment import locked
from benchmarks.profiler import RATE
from benchmarks.result import Figure, Plot, Result, Table, number
from benchmarks.stages import OF_A_POST, Stacks, shares
from benchmarks.web_load import Shot
from benchmarks.web_sides import BARE, BFF, FASTAPI

OF_BARE = 0.4  # of the bare handler's POSTs a second
P99_MOST = 40.0  # milliseconds of a POST, 64 clients
GET_MOST = 20.0

METHOD = """\
autocannon asks with 1, 16 and 64 connections, each sending its next call when it has its answer (closed loop). The
first {warm:g} s of a run do not count, then {post:g} s of POST or {get:g} s of GET do. {rounds} round{s}, in each of
which the sides take turns within every number of connections and begin with another one; a figure is the rounds'
median, a ratio is of runs of the same round.

The sides, each one process with one thread and asyncio's own event loop: the **bff**, all of it, with its Kafka
consumer; **FastAPI + aiokafka** (uvicorn with httptools, no access log) doing the same job: the same fields and
bounds checked by pydantic, a UUIDv7, Avro in Confluent's frame, an idempotent producer waiting for the
acknowledgement of all replicas (Kafka is one broker here), the same answers (a list without cursor and source), the
pending transaction put into Redis in the background, GET from Redis by the same client; the **bare aiohttp handler**,
as Faust starts it, answers constants of the same bytes, and reads and asks nothing: what the framework allows. Before
the rounds each side's answers to GET are compared with the bff's; afterwards the records in Kafka are counted against
the 201s.

While POST is measured the transactions worker is stopped, the same for all sides, so that the web tier and Kafka have
the machine; what was POSTed, FastAPI's records too, is decided afterwards, and a dead letter among them is a fault. The
load generator runs on the same two cores as all the rest. p99 is of each round's calls. Then the bff is POSTed to for
{profiled:g} s more while py-spy looks at it {rate} times a second from outside: {samples:,} stacks of the thread that
held Python's lock, each counted for the innermost frame that benchmarks/stages.py names.
"""

Shots = Mapping[tuple[str, str, int], Sequence[Shot]]


IN_THE_WAY = """\
A POST is more than an answer. Of the bff's CPU while 64 connections POST (profile below) HTTP, with
aiohttp, its middlewares and Faust's view, takes {HTTP:.0%}; the record's way to Kafka (Avro, the batch, the
acknowledgement) {Kafka:.0%}; the note in Redis that it is pending {Redis:.0%}; the body's check and the record's id
{body:.0%}; the event loop and what runs in the background the rest. The bare handler does the first of these alone.
With one connection nothing comes together, so each POST pays for a batch, a call of Redis and a wake of Kafka.
"""


def result(
    shots: Shots,
    plan: Any,
    sides: Sequence[str],
    connections: Sequence[int],
    faults: Sequence[str],
    stacks: Stacks,
) -> Result:
    """`shots`: by kind, side and connections, one a round; `stacks`: the bff's under POST."""
    of_a_post = shares(stacks, OF_A_POST)
    kinds = list(dict.fromkeys(kind for kind, _, _ in shots))
    kinds.sort(key=lambda kind: kind != "POST")
    settings = {
        "rounds": plan.rounds,
        "seconds of POST, of GET": [plan.post, plan.get],
        "not counted, s": plan.warm,
        **locked("fastapi", "uvicorn", "pydantic", "autocannon"),
    }
    return Result(
        "HTTP",
        METHOD.format(
            **plan._asdict(), s="s" if plan.rounds > 1 else "", rate=RATE, samples=sum(stacks.values())
        ),
        settings | {"connections": list(connections)},
        [*_posts(shots, connections), *_gets(shots, connections)],
        [
            *(_table(kind, shots, sides, connections) for kind in kinds),
            Table(
                "The bff's CPU while 64 connections POST",
                ["part", "of it"],
                [[part, f"{share:.1%}"] for part, share in of_a_post.items()],
            ),
        ],
        [*faults, *_wrong(shots)],
        {", ".join(map(str, key)): [asdict(shot) for shot in of] for key, of in shots.items()},
        [_plot(kind, shots, sides, connections) for kind in kinds],
        IN_THE_WAY.format(**of_a_post),
    )


def _posts(shots: Shots, connections: Sequence[int]) -> Iterator[Figure]:
    most = max(connections)
    bff = {c: shots["POST", BFF, c] for c in connections}
    yield Figure.of_rounds(f"POST, {most} connections", [shot.rate for shot in bff[most]], "a second")
    for c in connections:
        yield Figure.of_rounds(
            f"of the bare handler's rate, {c} connections",
            _ratios(bff[c], shots["POST", BARE, c]),
            "",
            at_least=OF_BARE if c == most else None,
            peer="the limit: 1",
        )
    for c in connections:
        yield Figure.of_rounds(
            f"of FastAPI + aiokafka's rate, {c} connections",
            _ratios(bff[c], shots["POST", FASTAPI, c]),
            "",
            at_least=1,
        )
    yield Figure.of_rounds(
        f"POST, {most} connections, p99",
        [shot.p99 for shot in bff[most]],
        "ms",
        at_most=P99_MOST,
        peer=f"FastAPI + aiokafka: {number(median(shot.p99 for shot in shots['POST', FASTAPI, most]))} ms",
    )


def _gets(shots: Shots, connections: Sequence[int]) -> Iterator[Figure]:
    most = max(connections)
    for kind in ("GET by id", "GET newest 100"):
        yield Figure.of_rounds(
            f"{kind}, 1 connection, p50", [s.p50 for s in shots[kind, BFF, 1]], "ms", at_most=GET_MOST
        )
        for other in (BARE, FASTAPI):
            yield Figure.of_rounds(
                f"{kind}, {most} connections, of the rate of {other}",
                _ratios(shots[kind, BFF, most], shots[kind, other, most]),
                "",
                at_least=1 if other == FASTAPI else None,
            )


def _ratios(ours: Sequence[Shot], theirs: Sequence[Shot]) -> list[float]:
    return [one.rate / other.rate for one, other in zip(ours, theirs, strict=True)]


def _table(kind: str, shots: Shots, sides: Sequence[str], connections: Sequence[int]) -> Table:
    rows = []
    for side in sides:
        for c in connections:
            of = shots[kind, side, c]
            rates = [shot.rate for shot in of]
            rows.append([
                side, str(c), number(median(rates)), f"{number(min(rates))} to {number(max(rates))}",
                *(f"{median(values):.2f}" for values in ([s.p50 for s in of], [s.p99 for s in of])),
                f"{max(shot.most for shot in of):.0f}",
            ])  # fmt: skip
    header = ["side", "connections", "a second", "lowest to highest", "p50, ms", "p99, ms", "slowest, ms"]
    return Table(kind, header, rows)


def _plot(kind: str, shots: Shots, sides: Sequence[str], connections: Sequence[int]) -> Plot:
    series = {
        side: [(float(c), median(shot.rate for shot in shots[kind, side, c])) for c in connections]
        for side in sides
    }
    name = kind.lower().replace(" ", "-")
    return Plot(name, f"{kind}: calls a second by connections", "connections", "a second", series, "bars")


def _wrong(shots: Shots) -> list[str]:
    return [
        f"{wrong} answers to {kind} by {side} with {connections} connections were none or not the right ones"
        for (kind, side, connections), of in shots.items()
        if (wrong := sum(shot.wrong for shot in of))
    ]
