"""What the HTTP benchmark hands back."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.environment import locked
from benchmarks.result import Figure, Plot, Result, Table, number
from benchmarks.stages import OF_A_POST, Stacks, shares
from benchmarks.web_load import Shot
from benchmarks.web_sides import BARE, BFF, FASTAPI

OF_BARE = 0.4  # of the bare handler's POSTs a second
P99_MOST = 40.0  # milliseconds of a POST, 64 clients
GET_MOST = 20.0

Shots = Mapping[tuple[str, str, int], Sequence[Shot]]


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
        "stacks sampled": sum(stacks.values()),
        **locked("fastapi", "uvicorn", "pydantic"),
    }
    return Result(
        "HTTP",
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
        {", ".join(map(str, key)): [shot._asdict() for shot in of] for key, of in shots.items()},
        [_plot(kind, shots, sides, connections) for kind in kinds],
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
