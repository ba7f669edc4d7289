"""What a soak has come to: counted by id, and written down (soak.md)."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from generator.client import Answer
from reconciliation import readers, reconcile
from reconciliation.summary import percentile

PATH = Path(__file__).with_name("soak.md")
FINAL_WITHIN = 30.0
SAMPLE = 1000  # ids that are looked for in GET, too


class Death(NamedTuple):
    """A part that dies `at` seconds after the load began, for so long."""

    at: float
    part: str
    dead_for: float


class Counts(NamedTuple):
    """By id, in both topics and in Cassandra, and of a sample in GET."""

    lost: int
    twice: int
    changed: int
    false: int
    published_again: int
    unassessed: int


@dataclass(frozen=True)
class Outcome:
    """All that was measured and counted."""

    seed: int
    minutes: float
    capacity: float
    deaths: Sequence[Death]
    answers: Sequence[Answer]
    ids: Sequence[str]
    counts: Counts
    final_after: float
    ended: Sequence[str]
    wrong: Sequence[str]  # what verify finds

    @property
    def good(self) -> bool:
        """Four zeros, in time, and nobody ended by itself."""
        counts = self.counts
        zeros = not (counts.lost or counts.twice or counts.changed or counts.false or self.wrong)
        return zeros and self.final_after <= FINAL_WITHIN and not self.ended and len(self.ids) > 0


async def counted(ids: Collection[str], rng: random.Random) -> Counts:
    """Read what there is of these ids, and compare."""
    wanted = frozenset(ids)
    created, published, stored = (
        await readers.created(wanted),
        await readers.published(wanted),
        await readers.stored(wanted),
    )
    some = rng.sample(sorted(wanted), min(SAMPLE, len(wanted)))
    shown = dict.fromkeys(some, "") | await readers.shown(some)
    found = reconcile.compare(wanted, created, published, stored, {}, shown)
    return Counts(
        lost=len(wanted - (created.keys() & published.keys() & stored.keys())),
        twice=found.created_again,
        changed=len(found.flipped) + len(found.differing),
        false=len(found.missing["created"]),
        published_again=found.published_again,
        unassessed=sum(verdicts[-1].reason is not None for verdicts in published.values()),
    )


def when_and_where() -> str:
    """The moment and the machine of a report."""
    memory = psutil.virtual_memory().total / 2**30
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    return (
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"load average {loads} at the end, everything on this machine."
    )


def must_be_zero(counts: Counts) -> list[str]:
    """The rows of what must not have happened."""
    return [
        f"| lost | {counts.lost} |",
        f"| twice | {counts.twice} |",
        f"| changed verdicts | {counts.changed} |",
        f"| false 201 | {counts.false} |",
    ]


def text(outcome: Outcome) -> str:
    """The report, as Markdown."""
    killed = Counter(death.part for death in outcome.deaths)
    statuses = sorted(Counter(answer.status for answer in outcome.answers).items())
    answers = ", ".join(f"{status or 'none'}: {count:,}" for status, count in statuses)
    p99 = percentile([a.answered - a.sent for a in outcome.answers if a.status == 201], 99)
    counts = outcome.counts
    lines = [
        "# Soak",
        "",
        f"    make soak SEED={outcome.seed} MINUTES={outcome.minutes:g}",
        "",
        when_and_where(),
        "",
        "| | |",
        "| --- | --- |",
        *must_be_zero(counts),
        f"| answered 201, the measuring of the capacity included | {len(outcome.ids):,} |",
        f"| POSTs by answer | {answers} |",
        f"| capacity, transactions a second until stored | {outcome.capacity:.0f}; the load was half of it |",
        f"| p99 of a 201 | {p99 * 1000:.0f} ms |",
        f"| all final after the last part's return | {outcome.final_after:.1f} s |",
        f"| published again, the same | {counts.published_again} |",
        f"| rejected because no antifraud replica answered for 5 s | {counts.unassessed} |",
        f"| parts that ended by themselves | {', '.join(outcome.ended) or 'none'} |",
        f"| `faust -A app.main verify` | {len(outcome.wrong)} findings |",
        f"| killed | {', '.join(f'{name} {count}' for name, count in sorted(killed.items()))} |",
        "",
    ]
    return "\n".join(lines)
