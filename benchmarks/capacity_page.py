"""The pages of what `python -m benchmarks.capacity` has measured; run it to write them anew from capacity.json."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bill import CORES, PARTS, RATES, bill, cost, limits, on_disk
from benchmarks.page import table
from benchmarks.report import COMMITTED, NUMBERS
from benchmarks.result import number
from infra.native.paths import CODE

DOCUMENT = CODE / "docs/capacity.md"
#: Rows a second that fill the partitions of a minute (docs/decisions/0003): 100,000 each, four shards.
ROWS_A_SECOND = 100_000 * 4 / 60
REHEARSED = (
    "**These figures are a rehearsal's (`--quick`, on a machine that had other work): they show what the page will "
    "have, and mean nothing yet.**\n\n"
)
WITHIN = 0.15  # the error that is meant to be reached
NOT_YET = "**Not measured yet.**\n"
#: The columns of what was predicted: the name in the report, the words, digits.
SHOWN = {"rate": "decided a second", "cores": "cores", "behind": "behind"}
SECTION = re.compile(r"(<!-- (\w+): generated -->\n).*?(<!-- end -->)", re.DOTALL)


def keep(found: Mapping[str, Any], folder: Path, *, committed: bool) -> None:
    """Write the report; if it is the committed one, the tables of docs/capacity.md too."""
    folder.mkdir(parents=True, exist_ok=True)
    text = NUMBERS.sub(lambda lines: re.sub(r"\s+", " ", lines[0]), json.dumps(found, indent=1))
    (folder / "capacity.json").write_text(text + "\n")
    found = json.loads(text)  # as whoever writes the pages again from the file
    (folder / "capacity.md").write_text(page(found))
    print(f"the report: {folder / 'capacity.md'}")
    if committed:
        DOCUMENT.write_text(filled(DOCUMENT.read_text(), found))


def page(found: Mapping[str, Any]) -> str:
    """benchmarks/capacity.md."""
    if "model" not in found:
        return f"# Capacity: predicted and measured\n\n{NOT_YET}"
    machine = ", ".join(f"{key}: {value}" for key, value in found["machine"].items())
    settings = ", ".join(f"{key}: {value}" for key, value in found["settings"].items())
    return (
        "# Capacity: predicted and measured\n\n"
        "Written by `python -m benchmarks.capacity`; all that was observed is in `capacity.json`. What\n"
        "follows from it for more machines: [docs/capacity.md](../docs/capacity.md).\n\n"
        f"{_rehearsed(found)}{_predicted(found)}\n## What was observed\n\n"
        f"The last {len(found['loads'])} are those that it predicted.\n\n{_observed(found)}\n"
        f"## What each process costs\n\n{_processes(found)}\n## Measured on\n\n{machine}\n\n"
        f"`{found['command']}`, {found['date']}, {found['versions']['faust-payments']}; {settings}.\n"
    )


def filled(document: str, found: Mapping[str, Any]) -> str:
    """The document with its generated sections as the report has them."""
    return SECTION.sub(lambda old: f"{old[1]}{_section(old[2], found)}{old[3]}", document)


def _section(name: str, found: Mapping[str, Any]) -> str:
    return SECTIONS[name](found) if "model" in found else NOT_YET


def _rehearsed(found: Mapping[str, Any]) -> str:
    return REHEARSED if "--quick" in found["command"] else ""


def _predicted(found: Mapping[str, Any]) -> str:
    header = ["POSTs due a second"]
    for words in SHOWN.values():
        header += [f"{words}: predicted", "measured", "error"]
    rows = [
        [number(one["offered"])]
        + [
            cell
            for name in SHOWN
            for cell in (
                number(one["predicted"][name]),
                number(one["measured"][name]),
                f"{one['error'][name]:+.0%}",
            )
        ]
        for one in found["loads"]
    ]
    capacity = found["model"]["capacity"]
    return (
        f"{table(header, rows)}\nWithin 15 % of the loads that are kept up with: "
        f"{_within([one for one in found['loads'] if one['offered'] < capacity])}; of the load that is too much: "
        f"{_within([one for one in found['loads'] if one['offered'] >= capacity])}. By the model the machine "
        f"decides {number(capacity)} a second.\n"
    )


def _within(some: Sequence[Mapping[str, Any]]) -> str:
    errors = [abs(one["error"][name]) for one in some for name in SHOWN]
    return f"{sum(error <= WITHIN for error in errors)} of {len(errors)}"


def _observed(found: Mapping[str, Any]) -> str:
    header = ["", "POSTs due", "answered", "decided", "micro-batches", "behind", "refused", "cores"]
    return table(
        header,
        [
            [
                one["name"],
                *(
                    number(one[name])
                    for name in ("offered", "accepted", "decided", "rounds", "behind", "refused")
                ),
                number(
                    sum(cores for part, cores in one["cores"].items() if not part.startswith("(everything"))
                ),
            ]
            for one in [*found["observed"], *found["predicted loads, observed"]]
        ],
    )


def _processes(found: Mapping[str, Any]) -> str:
    terms = {"post": "POST", "decision": "decision", "batch": "micro-batch", "turn": "turn"}
    header = ["process", "idle, cores", *(f"µs a {words}" for words in terms.values()), "one of many, µs"]
    rows = [
        [name, number(costs["idle"])]
        + [number(1e6 * costs[term]) for term in terms]
        + [number(1e6 * found["model"]["each"][name])]
        for name, costs in found["model"]["cpu"].items()
    ]
    return table(header, rows)


def _costs(found: Mapping[str, Any]) -> str:
    """By part: CPU, wire and disk."""
    model = found["model"]
    rows = [
        [
            part.name,
            number(1e6 * cost(model, part) / part.copies),
            number(1e6 * sum(model["cpu"][process]["batch"] for process in part.processes)),
            number(1e6 * sum(model["cpu"][process]["turn"] for process in part.processes)),
            number(model["wire"][wire]) if (wire := part.name.lower()) in model["wire"] else "",
            number(stored) if (stored := on_disk(part)) else "",
        ]
        for part in PARTS
    ]
    rows.append(["the load's client", number(1e6 * model["each"]["(the benchmark)"]), "", "", "", ""])
    header = ["part", "CPU, µs", "a micro-batch, µs", "a turn, µs", "wire, bytes", "disk, bytes"]
    return _rehearsed(found) + table(header, rows)


def _bills(found: Mapping[str, Any]) -> str:
    bills = [bill(found["model"], rate) for rate in RATES]
    rows = [
        [part.name, *(_line(one.lines[number_].cores, one.lines[number_].processes) for one in bills)]
        for number_, part in enumerate(PARTS)
    ]
    rows += [
        ["cores that work", *(number(one.cores) for one in bills)],
        ["partitions", *(number(one.partitions) for one in bills)],
        ["Kafka's network, Gbit/s", *(number(one.gbit) for one in bills)],
        ["disk, TB a day", *(number(one.tb_a_day) for one in bills)],
        [f"**machines of {CORES} cores**", *(f"**{one.machines:,}**" for one in bills)],
    ]
    return _rehearsed(found) + table(["", *(f"{rate:,}/s" for rate in RATES)], rows)


def _line(cores: float, processes: int) -> str:
    return f"{processes:,} x 1 core" if processes else f"{number(cores)} cores"


def _limits(found: Mapping[str, Any]) -> str:
    rows = [[f"one {part}", number(rate)] for part, rate in limits(found["model"]).items()]
    return _rehearsed(found) + table(["with all of its core", "transactions a second"], rows)


SECTIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "costs": _costs,
    "limits": _limits,
    "predicted": lambda found: _rehearsed(found) + _predicted(found),
    "bills": _bills,
}


if __name__ == "__main__":
    keep(json.loads((COMMITTED / "capacity.json").read_text()), COMMITTED, committed=True)
