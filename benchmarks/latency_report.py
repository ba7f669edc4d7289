"""What the latency benchmark hands back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.arrivals import ALONE_EVERY, CONNECTIONS, EACH, EVERY, FOLLOWED, WINDOW, Arrived
from benchmarks.meanwhile import STEPS, Meanwhile
from benchmarks.result import Figure, Plot, Result, Table, spread
from reconciliation.summary import percentile

PERCENTS = (50, 99, 99.9)
ALONE_P50, ALONE_P99, HALF_P99 = 15.0, 40.0, 100.0  # milliseconds
HALF = 0.5
MILLIS = "{:,.1f}".format
MOST_PUBLISHED = 7  # processes in the table of what the stack did


class Round(NamedTuple):
    """What one round brought."""

    alone: Arrived
    capacity: float
    loads: Mapping[float, Arrived]
    did: Mapping[str, Meanwhile]  # the stack, by load


def result(rounds: Sequence[Round], plan: Any, loads: Sequence[float]) -> Result:
    """Of all rounds."""
    runs = {"alone": [one.alone for one in rounds]}
    runs |= {f"{load:.0%}": [one.loads[load] for one in rounds] for load in loads}
    settings = {
        **plan._asdict(),
        "connections": CONNECTIONS,
        "window": WINDOW,
        "followed at capacity, one in": EACH,
        "followed at the loads, a second": FOLLOWED,
        "ms between GETs, alone and at the loads": [1e3 * ALONE_EVERY, 1e3 * EVERY],
    }
    rates = [one.capacity for one in rounds]
    did = {name: [one.did[name] for one in rounds] for name in runs}
    return Result(
        "Latency",
        settings,
        list(_figures(runs, rates)),
        [_table(runs, rates, loads), _what_it_did(did)],
        _faults(runs),
        {
            "capacity": rates,
            "seconds to final": {name: [_rounded(run.seen.took) for run in of] for name, of in runs.items()},
            "meanwhile": {name: [one._asdict() for one in of] for name, of in did.items()},
        },
        [_plot(runs, rates, loads)],
    )


Runs = Mapping[str, Sequence[Arrived]]


def _figures(runs: Runs, rates: Sequence[float]) -> Iterator[Figure]:
    for name, percent, most in (
        ("alone", 50, ALONE_P50),
        ("alone", 99, ALONE_P99),
        (f"{HALF:.0%}", 99, HALF_P99),
    ):
        values = [1e3 * percentile(run.seen.took, percent) for run in runs[name]]
        said = name if name == "alone" else f"at {name} of capacity"
        old = "old system: 181 to 210" if (name, percent) == ("alone", 50) else ""
        yield Figure(f"POST to final, {said}, p{percent}", values, "ms", at_most=most, peer=old)
    yield Figure("capacity, POST to final", rates, "a second")
    posts = [1e3 * percentile(run.posts, 50) for run in runs["alone"]]
    yield Figure("alone, POST to its 201, p50", posts, "ms")


def _table(runs: Runs, rates: Sequence[float], loads: Sequence[float]) -> Table:
    arrivals = [
        "one at a time",
        *(spread([load * rate for rate in rates], "{:,.0f}".format) for load in loads),
    ]
    rows = [
        [
            name,
            arrived,
            *(
                spread([1e3 * percentile(run.seen.took, percent) for run in of], MILLIS)
                for percent in PERCENTS[:2]
            ),
            f"{1e3 * percentile(_all(of), PERCENTS[2]):.0f}",
            spread([1e3 * percentile(run.posts, 99) for run in of], MILLIS),
            f"{1e3 * median([late for run in of for late in run.seen.late]):.1f}",
            str(len(_all(of))),
        ]
        for (name, of), arrived in zip(runs.items(), arrivals, strict=True)
    ]
    header = [
        "load", "arrivals a second", "p50, ms", "p99, ms", "p99.9, ms", "POST to 201, p99, ms",
        "seen late by at most, p50, ms", "followed",
    ]  # fmt: skip
    return Table("POST to final status in GET (median of the rounds; lowest to highest)", header, rows)


def _what_it_did(did: Mapping[str, Sequence[Meanwhile]]) -> Table:
    rows = [
        [
            name,
            *(f"{median(values):.1f}" for values in ([m.rounds for m in of], [m.records for m in of])),
            *(f"{median(m.steps[step] for m in of):.1f}" for step in STEPS),
            f"{median(m.busy for m in of):.2f}",
            ", ".join(f"{who} {spent:.2f}" for who, spent in _busiest(of)),
        ]
        for name, of in did.items()
    ]
    header = ["load", "rounds a second", "records a round", *(f"{step}, ms" for step in STEPS), "cores busy",
              "of them"]  # fmt: skip
    return Table("What the stack did meanwhile (medians of the rounds)", header, rows)


def _busiest(of: Sequence[Meanwhile]) -> list[tuple[str, float]]:
    each = {name: median(one.cores[name] for one in of) for name in of[0].cores}
    return sorted(each.items(), key=lambda item: -item[1])[:MOST_PUBLISHED]


def _all(of: Sequence[Arrived]) -> list[float]:
    return [took for run in of for took in run.seen.took]


def _plot(runs: Runs, rates: Sequence[float], loads: Sequence[float]) -> Plot:
    at = [0.0, *(100 * load for load in loads)]
    series = {
        f"p{percent}": [
            (x, 1e3 * percentile(_all(of), percent)) for x, of in zip(at, runs.values(), strict=True)
        ]
        for percent in PERCENTS
    }
    title = f"POST to final status by load; 0: alone, 100 %: {median(rates):,.0f} a second"
    return Plot("percentiles", title, "load, % of capacity", "ms", series)


def _faults(runs: Runs) -> list[str]:
    found: dict[str, Callable[[Arrived], int]] = {
        "POSTs were not answered with 201": lambda run: run.refused,
        "transactions never became final": lambda run: run.never_final,
    }
    return [
        f"{name}: {count} {what}"
        for what, number in found.items()
        for name, of in runs.items()
        if (count := sum(number(run) for run in of))
    ]


def _rounded(seconds: Sequence[float]) -> list[float]:
    return [round(value, 5) for value in seconds]
