"""What the HTTP benchmark hands back."""

from collections.abc import Iterator, Sequence
from statistics import median

from benchmarks.environment import locked
from benchmarks.result import Figure, Plot, Result, Table, number
from benchmarks.stages import OF_A_POST, Stacks, shares
from benchmarks.web_load import CONNECTIONS, MOST, Plan, Shot, Shots
from benchmarks.web_sides import BARE, BFF, FASTAPI, SIDES

OF_BARE = 0.4  # of the bare handler's POSTs a second
P99_MOST = 40.0  # milliseconds of a POST, 64 clients
GET_MOST = 20.0


def result(shots: Shots, plan: Plan, faults: Sequence[str], stacks: Stacks) -> Result:
    """`stacks`: the bff's under POST."""
    kinds = list(dict.fromkeys(kind for kind, _, _ in shots))
    kinds.sort(key=lambda kind: kind != "POST")
    settings = {
        "rounds": plan.rounds,
        "seconds of POST, of GET": [plan.post, plan.get],
        "not counted, s": plan.warm,
        "stacks sampled": sum(stacks.values()),
        "connections": list(CONNECTIONS),
        **locked("fastapi", "uvicorn", "pydantic"),
    }
    return Result(
        "HTTP",
        settings,
        [*_posts(shots), *_gets(shots)],
        [
            *(_table(kind, shots) for kind in kinds),
            Table(
                f"The bff's CPU while {MOST} connections POST",
                ["part", "of it"],
                [[part, f"{share:.1%}"] for part, share in shares(stacks, OF_A_POST).items()],
            ),
        ],
        [*faults, *_wrong(shots)],
        {", ".join(map(str, key)): [shot._asdict() for shot in of] for key, of in shots.items()},
        [_plot(kind, shots) for kind in kinds],
    )


def _posts(shots: Shots) -> Iterator[Figure]:
    bff = {c: shots["POST", BFF, c] for c in CONNECTIONS}
    yield Figure(f"POST, {MOST} connections", [shot.rate for shot in bff[MOST]], "a second")
    for c in CONNECTIONS:
        yield Figure(
            f"of the bare handler's rate, {c} connections",
            _ratios(bff[c], shots["POST", BARE, c]),
            "",
            at_least=OF_BARE if c == MOST else None,
            peer="the limit: 1",
        )
    for c in CONNECTIONS:
        yield Figure(
            f"of FastAPI + aiokafka's rate, {c} connections",
            _ratios(bff[c], shots["POST", FASTAPI, c]),
            "",
            at_least=1,
        )
    yield Figure(
        f"POST, {MOST} connections, p99",
        [shot.p99 for shot in bff[MOST]],
        "ms",
        at_most=P99_MOST,
        peer=f"FastAPI + aiokafka: {number(median(shot.p99 for shot in shots['POST', FASTAPI, MOST]))} ms",
    )


def _gets(shots: Shots) -> Iterator[Figure]:
    for kind in ("GET by id", "GET newest 100"):
        yield Figure(
            f"{kind}, 1 connection, p50", [s.p50 for s in shots[kind, BFF, 1]], "ms", at_most=GET_MOST
        )
        for other in (BARE, FASTAPI):
            yield Figure(
                f"{kind}, {MOST} connections, of the rate of {other}",
                _ratios(shots[kind, BFF, MOST], shots[kind, other, MOST]),
                "",
                at_least=1 if other == FASTAPI else None,
            )


def _ratios(ours: Sequence[Shot], theirs: Sequence[Shot]) -> list[float]:
    return [one.rate / other.rate for one, other in zip(ours, theirs, strict=True)]


def _table(kind: str, shots: Shots) -> Table:
    rows = []
    for side in SIDES:
        for c in CONNECTIONS:
            of = shots[kind, side, c]
            rates = [shot.rate for shot in of]
            rows.append([
                side, str(c), number(median(rates)), f"{number(min(rates))} to {number(max(rates))}",
                *(f"{median(values):.2f}" for values in ([s.p50 for s in of], [s.p99 for s in of])),
                f"{max(shot.most for shot in of):.0f}",
            ])  # fmt: skip
    header = ["side", "connections", "a second", "lowest to highest", "p50, ms", "p99, ms", "slowest, ms"]
    return Table(kind, header, rows)


def _plot(kind: str, shots: Shots) -> Plot:
    series = {
        side: [(float(c), median(shot.rate for shot in shots[kind, side, c])) for c in CONNECTIONS]
        for side in SIDES
    }
    name = kind.lower().replace(" ", "-")
    return Plot(name, f"{kind}: calls a second by connections", "connections", "a second", series, "bars")


def _wrong(shots: Shots) -> list[str]:
    return [
        f"{wrong} answers to {kind} by {side} with {connections} connections were none or not the right ones"
        for (kind, side, connections), of in shots.items()
        if (wrong := sum(shot.wrong for shot in of))
    ]
