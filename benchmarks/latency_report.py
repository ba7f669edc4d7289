"""What the latency benchmark hands back."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.arrivals import ALONE_EVERY, CONNECTIONS, EACH, EVERY, FOLLOWED, WINDOW, Arrived
from benchmarks.meanwhile import STEPS, Meanwhile
from benchmarks.result import Figure, Plot, Result, Table, percentile

PERCENTS = (50, 99, 99.9)
ALONE_P50, ALONE_P99, HALF_P99 = 15.0, 40.0, 100.0  # milliseconds
HALF = 0.5
MOST_PUBLISHED = 7  # processes in the table of what the stack did

METHOD = """\
POST until GET by id shows `accepted` or `rejected`: the whole stack, each status read where a client reads it.

*Alone*: one at a time on an otherwise idle stack, a GET every {alone:.0f} ms from its 201 on until it is final.

*Capacity*: {connections} clients POST as fast as they are answered, but no more than {window:,} transactions may be
between POST and final, so POST goes no faster than all that follows. POSTs a second in {counted:g} s, after {warm:g} s.

*At 10, 50 and 90 % of that capacity* (of the same round), {load:g} s each: arrivals at a constant rate, whatever
the answers are. A transaction's time begins when its POST was due, so one that has to wait for a free connection of
the {connections}, or for the client itself, waits in the figures: no coordinated omission. About {followed:.0f} a
second of them, evenly spread, are followed to their end; of the others the POST is timed. GETs ask for those
that are followed, in turn, one every {every:.0f} ms at the most, so that watching costs the bff no more than
{gets:.0f} GETs a second; a status is seen late by at most the time since the same transaction's last GET, which the
table gives. Late counts against us. The client (one process, asyncio, sockets of its own to be cheap) runs on the same
machine as the stack.

{rounds} round{s}: alone, capacity, the three loads, and again; a figure is the rounds' median. p99.9 is of all rounds'
transactions together: one round has too few for it. What the stack did meanwhile is by its own metrics and by the CPU
time that the system has counted for each process.
"""


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
    method = METHOD.format(
        alone=1e3 * ALONE_EVERY, connections=CONNECTIONS, window=WINDOW, counted=plan.capacity, warm=plan.warm,
        load=plan.load, followed=FOLLOWED, every=1e3 * EVERY, gets=1 / EVERY, rounds=plan.rounds,
        s="s" if plan.rounds > 1 else "",
    )  # fmt: skip
    settings = {
        **plan._asdict(),
        "connections": CONNECTIONS,
        "window": WINDOW,
        "followed at capacity, one in": EACH,
    }
    rates = [one.capacity for one in rounds]
    did = {name: [one.did[name] for one in rounds] for name in runs}
    return Result(
        "Latency",
        method,
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
        in_the_way(did),
    )


IN_THE_WAY = """\
Wake-ups and fixed costs, on {cores} cores that run every server and the client too. A lone transaction passes nine
processes, each asleep until it comes; its steps are in the table of what the stack did (decide {decide:.1f} ms, publish
{publish:.1f}, remember {remember:.1f}; POST with Kafka's acknowledgement, fetches and the client's GETs are the rest).
What a round costs by itself (a call through Envoy; for each of four partitions a transaction of Kafka, a fetch and a
write to three nodes of Cassandra) is many times what one record in it costs, so {low} already keeps {busy:.1f} cores
busy, and each step waits for a core. Tried, and no better: rounds that begin sooner, rounds that wait for each other
0.06 or 0.1 s, uvloop.
"""


def in_the_way(did: Mapping[str, Sequence[Meanwhile]]) -> str:
    """In the words above, with what was measured."""
    alone, (low, under) = did["alone"], list(did.items())[1]
    steps = {step: median(one.steps[step] for one in alone) for step in STEPS}
    busy = median(one.busy for one in under)
    return IN_THE_WAY.format(cores=os.cpu_count(), low=f"{low} of the capacity", busy=busy, **steps)


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
        yield Figure.of_rounds(f"POST to final, {said}, p{percent}", values, "ms", at_most=most, peer=old)
    yield Figure.of_rounds("capacity, POST to final", rates, "a second")
    posts = [1e3 * percentile(run.posts, 50) for run in runs["alone"]]
    yield Figure.of_rounds("alone, POST to its 201, p50", posts, "ms")


def _table(runs: Runs, rates: Sequence[float], loads: Sequence[float]) -> Table:
    arrivals = ["one at a time", *(_spread([load * rate for rate in rates], 0) for load in loads)]
    rows = [
        [
            name,
            arrived,
            *(_spread([1e3 * percentile(run.seen.took, percent) for run in of]) for percent in PERCENTS[:2]),
            f"{1e3 * percentile(_all(of), PERCENTS[2]):.0f}",
            _spread([1e3 * percentile(run.posts, 99) for run in of]),
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


def _spread(values: Sequence[float], digits: int = 1) -> str:
    lowest, highest = min(values), max(values)
    spread = f" ({lowest:,.{digits}f} to {highest:,.{digits}f})" if len(values) > 1 else ""
    return f"{median(values):,.{digits}f}{spread}"


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
