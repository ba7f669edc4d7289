"""What a rolling restart has come to, written down (rolling_restart.md)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from exercises.soak_report import Counts, must_be_zero, when_and_where
from generator.client import Answer
from reconciliation.summary import percentile

PATH = Path(__file__).with_name("rolling_restart.md")
#: Seconds from a POST to its status in the log, of 99 in 100.
FINAL_WITHIN = 2.0


class Restart(NamedTuple):
    """A part, when it was its turn (time.monotonic), and for how many seconds it was not ready."""

    part: str
    began: float
    ended: float
    down_for: float


@dataclass(frozen=True)
class Outcome:
    """All that was measured and counted."""

    rate: float
    began: float
    restarts: Sequence[Restart]
    answers: Sequence[Answer]
    published: Mapping[str, float]  # when a status came, by id
    counts: Counts
    wrong: Sequence[str]  # what verify finds

    @property
    def failed(self) -> int:
        """POSTs without a 201."""
        return sum(answer.status != 201 for answer in self.answers)

    def final(self, since: float = 0, until: float = math.inf) -> float:
        """p99 of the seconds from a POST of that time to its status in the log; without end if none came."""
        took = [
            self.published[id_] - answer.sent
            for answer in self.answers
            if (id_ := answer.transaction_id) and id_ in self.published and since <= answer.sent < until
        ]
        return percentile(took, 99) if took else math.inf

    @property
    def good(self) -> bool:
        """No POST failed, nothing is lost or twice, and verdicts came in time."""
        counts = self.counts
        zeros = not (
            self.failed or counts.lost or counts.twice or counts.changed or counts.false or self.wrong
        )
        return zeros and self.final() < FINAL_WITHIN


def text(outcome: Outcome) -> str:
    """The report, as Markdown."""
    took = percentile([answer.answered - answer.sent for answer in outcome.answers] or [math.inf], 99)
    counts = outcome.counts
    lines = [
        "# Rolling restart",
        "",
        "    make up KAFKA=3",
        f"    make rolling-restart RATE={outcome.rate:g}",
        "",
        when_and_where(),
        "",
        "| | |",
        "| --- | --- |",
        f"| POSTs | {len(outcome.answers):,}, {outcome.rate:g} a second |",
        f"| failed | {_failed(outcome)} |",
        *must_be_zero(counts),
        f"| `faust -A app.main verify` | {len(outcome.wrong)} findings |",
        f"| rejected because no antifraud replica answered for 5 s | {counts.unassessed} |",
        f"| p99 of an answer to POST | {took * 1000:.0f} ms |",
        f"| p99 from POST to status in the log | {outcome.final() * 1000:.0f} ms |",
        "",
        "| part | not ready for | POSTs meanwhile, failed | p99 to status |",
        "| --- | --- | --- | --- |",
        *(_line(one, outcome) for one in outcome.restarts),
        "",
    ]
    return "\n".join(lines)


def _failed(outcome: Outcome) -> str:
    errors = Counter(answer.error for answer in outcome.answers if answer.status != 201)
    why = "; ".join(f"{count} x {error}" for error, count in errors.most_common(3))
    return f"{outcome.failed}: {why}" if errors else "0"


def _line(one: Restart, outcome: Outcome) -> str:
    meanwhile = [answer for answer in outcome.answers if one.began <= answer.sent < one.ended]
    failed = sum(answer.status != 201 for answer in meanwhile)
    final = outcome.final(one.began, one.ended)
    return f"| {one.part} | {one.down_for:.1f} s | {len(meanwhile):,}, {failed} | {final * 1000:.0f} ms |"
