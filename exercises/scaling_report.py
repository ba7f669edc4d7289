"""What a rehearsal of the autoscaler has come to, written down: scaling.md and scaling.json.

`python -m exercises.scaling_report` writes the page anew from scaling.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import Any

from benchmarks.page import table
from benchmarks.report import NUMBERS
from exercises.autoscaler import Rules, rules
from exercises.drain import World, expected_steps, formula, simulate

PATH = Path(__file__).with_name("scaling.md")
JSON = PATH.with_suffix(".json")
OUTAGE, SHARES = 600.0, (0.5, 0.8, 0.95)
START = 20.0  # seconds until a pod that is asked for decides: image, import, its partitions' histories
TOLERATED = 5.0
PAGE = """\
# Scaled by lag, rehearsed

Written by `python -m exercises.scaling`. There is no cluster: the arithmetic of KEDA and of Kubernetes' autoscaler is
[exercises/autoscaler.py](autoscaler.py), with the numbers of
[scaling.yaml](../infra/kubernetes/overlays/production/scaling.yaml). What follows from it:
[docs/capacity.md](../docs/capacity.md#scaling-by-lag).

## An outage of {minutes:.0f} minutes, on paper

Twelve partitions, at least {least} workers, each of {each:,.0f} transactions a second; a new one works
{start:.0f} s after it was asked for. The load is a share of what the fewest workers decide.

{on_paper}"""
MEASURED = """
## An outage of {outage:.0f} seconds, with real processes

Four partitions, at least one worker. Two cores cannot show that more workers decide more of the usual kind, so each
assessment was made to take {delay:g} s, for {batch} transactions at most: a worker then decides {rate:.0f} a second,
and waits most of the time. It was stopped while the load went on, and started again; every {poll:.0f} s the lag was put
into the arithmetic, and what it said was done as `make scale` does it. After a longer outage the lag is larger in
proportion; polls and windows are what they are on Kubernetes.

{measured}
`{command}`, {date}, {version}; {cores} cores, load average before: {load}.
"""


def write(found: Mapping[str, Any]) -> str:
    """Keep it; gives the page."""
    text = NUMBERS.sub(lambda lines: " ".join(lines[0].split()), json.dumps(found, indent=1))
    JSON.write_text(text + "\n")
    PATH.write_text(said := page(found))
    return said


def page(found: Mapping[str, Any]) -> str:
    """scaling.md; before anything was measured what is on paper alone."""
    scaled = rules()
    each = scaled.threshold / TOLERATED
    said = PAGE.format(minutes=OUTAGE / 60, least=scaled.least, each=each, start=START, on_paper=on_paper())
    if "loads" not in found:
        return f"{said}\nWith real processes: not measured yet.\n"
    return said + MEASURED.format(
        measured=measured(found["loads"]),
        rate=found["world"]["rate"],
        poll=found["rules"]["poll"],
        version=found["versions"]["faust-payments"],
        cores=found["machine"]["cores"],
        load=found["machine"]["load average before (1, 5, 15 min)"],
        **{name: found[name] for name in ("outage", "delay", "batch", "command", "date")},
    )


def on_paper(scaled: Rules | None = None) -> str:
    """By the formula and simulated, for the manifests' own numbers."""
    scaled = scaled or rules()
    rows = []
    for share in SHARES:
        world = World(
            share * scaled.least * scaled.threshold / TOLERATED, scaled.threshold / TOLERATED, START
        )
        drain = simulate(scaled, world, OUTAGE, until=7200)
        steps = expected_steps(scaled, world, drain.backlog)
        rows.append(
            [
                f"{share:.0%}",
                f"{drain.backlog:,.0f}",
                _seconds(formula(drain.backlog, world, steps[:1])),
                _seconds(formula(drain.backlog, world, steps)),
                _seconds(drain.drained),
                str(drain.events_until_drained),
                _events(drain.events),
            ]
        )
    header = [
        "load",
        "backlog",
        "alone",
        "by the formula",
        "simulated",
        "scale events until drained",
        "all of them",
    ]
    return table(header, rows)


def measured(loads: Sequence[Mapping[str, Any]]) -> str:
    """One row for each load."""
    header = [
        "load",
        "backlog",
        "by the formula",
        "simulated",
        "measured",
        "error of the formula",
        "scale events",
    ]
    return table(
        header,
        [
            [
                f"{one['share']:.0%}",
                f"{one['backlog']:,}",
                *(_seconds(one[how]) for how in ("formula", "simulated", "measured")),
                f"{one['formula'] / one['measured'] - 1:+.0%}",
                _events(one["events"]) or "none",
            ]
            for one in loads
        ],
    )


def _seconds(seconds: float) -> str:
    return "never" if seconds == inf else f"{seconds:,.0f} s"


def _events(events: Sequence[Sequence[float]]) -> str:
    return ", ".join(f"{workers:.0f} at {at:.0f} s" for at, workers in events)


if __name__ == "__main__":
    write(json.loads(JSON.read_text()))
