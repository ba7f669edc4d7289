"""What the demo prints at its end."""

import math
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from generator.client import PATH, Answer
from reconciliation import readers
from reconciliation.reconcile import Reconciliation

SHOWN_FAULTS = 10

TITLES = {
    "created": "topic transaction_created",
    "published": "topic transaction_status",
    "stored": "Cassandra, by id",
    "listed": "GET, page by page",
    "shown": "GET, each by id",
}

NEXT = f"""\
  Where to look next
    make up                               the same, to play with: it stays in the background
    {readers.bff_url() + "/":<38}the live page, once it is up: all of it while it happens
    make lab                              the same page, to break the system from
    make ps                               its processes; stop, kill or pause one by its name
    make topic NAME=transaction_status    what was decided, record by record
    make cqlsh NAME=cassandra-2           then: SELECT * FROM transactions.transactions LIMIT 5;
    README.md, docs/                      how it works, and how to break it
    and, once it is up, a transaction of your own:
"""  # noqa: S608  # a command to type
CURL = f"""\
      curl -X POST {readers.bff_url()}{PATH} -H "Content-Type: application/json" --data \\
        '{{"value_in_cents":1999,"description":"mine","customer_id":"me","merchant_id":"shop",\
"transaction_timestamp":1624079756,"latitude":1.5,"longitude":2.5}}'
      curl {readers.bff_url()}{PATH}"""


@dataclass(frozen=True)
class Outcome:
    """Everything that the demo has seen."""

    answers: Sequence[Answer]
    seconds_to_final: Sequence[float]  # from sending the POST, for those that became final
    reconciliation: Reconciliation
    start_seconds: float | None  # None: it was already up
    processes: int
    load_before: float = 0.0  # the machine's load average when the demo began

    @property
    def good(self) -> bool:
        """Every transaction was acknowledged, decided, and is the same everywhere."""
        acknowledged = sum(answer.status == 201 for answer in self.answers)
        return acknowledged == len(self.answers) == len(self.seconds_to_final) and self.reconciliation.agrees


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that this percentage of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]


def summary(outcome: Outcome) -> str:
    """The whole page."""
    blocks = [
        _counts(outcome),
        _times(outcome),
        _places(outcome.reconciliation),
        _verdict(outcome),
        NEXT + CURL,
    ]
    return "\n\n".join(blocks)


def _counts(outcome: Outcome) -> str:
    reconciliation = outcome.reconciliation
    sent, acknowledged = len(outcome.answers), reconciliation.sent
    lines = [f"  {'sent':<12}{sent:>6}    {acknowledged} acknowledged with 201"]
    refusals = Counter(answer.error for answer in outcome.answers if answer.status != 201)
    lines += [f"  {'failed':<12}{count:>6}    {error}" for error, count in refusals.most_common()]
    for status in ("accepted", "rejected", "pending"):
        count = reconciliation.statuses.get(status, 0)
        share = f"    {count / acknowledged:.1%}" if count else ""
        lines.append(f"  {status:<12}{count:>6}{share}")
    return "\n".join([*lines, f"  {'lost':<12}{len(reconciliation.lost):>6}"])


def _times(outcome: Outcome) -> str:
    seconds = outcome.seconds_to_final
    latency = "no transaction became final"
    if seconds:
        p50, p99 = (percentile(seconds, percent) * 1000 for percent in (50, 99))
        latency = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, from POST to its final status in GET"
    start = "the stack was up already"
    if outcome.start_seconds is not None:
        start = f"{outcome.start_seconds:.1f} s until all {outcome.processes} processes were ready"
    lines = [f"  {'latency':<12}{latency}", f"  {'start':<12}{start}"]
    cores = os.cpu_count() or 1
    if outcome.load_before > cores / 2:
        busy = f"load average {outcome.load_before:.1f} on {cores} cores before the demo began"
        lines.append(f"  {'busy':<12}{busy}: times are longer")
    return "\n".join(lines)


def _places(reconciliation: Reconciliation) -> str:
    lines = [f"  {'Counted by id':<28}{'there':>7}{'missing':>9}", f"  {'-' * 44}"]
    lines.append(f"  {'answers 201':<28}{reconciliation.sent:>7}{'-':>9}")
    lines += [
        f"  {title:<28}{reconciliation.there[place]:>7}{len(reconciliation.missing[place]):>9}"
        for place, title in TITLES.items()
    ]
    return "\n".join(lines)


def _verdict(outcome: Outcome) -> str:
    faults = outcome.reconciliation.faults()
    if outcome.good:
        return "  All places agree: the same ids, the same statuses, one verdict each. Nothing lost."
    shown = [f"  ! {fault}" for fault in faults[:SHOWN_FAULTS]]
    if more := len(faults) - len(shown):
        shown.append(f"  ! and {more} more")
    return "\n".join(
        ["  NOT as it should be: see above, and:" if shown else "  NOT as it should be: see above.", *shown]
    )
