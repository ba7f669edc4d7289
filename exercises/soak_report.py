"""What a soak has come to: counted by id, and written down (soak.md)."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import psutil

from exercises.load_client import LoadClient
from reconciliation import readers, reconcile
from reconciliation.summary import percentile

PATH = Path(__file__).with_name("soak.md")
FINAL_WITHIN = 30.0


class Death(NamedTuple):
    """A part that dies `at` seconds after the load began, for so long."""

    at: float
    part: str
    dead_for: float


@dataclass(frozen=True)
class Outcome:
    """All that was measured and counted."""

    seed: int
    minutes: float
    capacity: float
    deaths: Sequence[Death]
    statuses: Counter[int]  # of the POSTs; 0: no answer
    p99: float
    ids: Sequence[str]
    lost: int
    twice: int
    changed: int
    false: int
    published_again: int
    unassessed: int
    final_after: float
    ended: Sequence[str]

    @property
    def good(self) -> bool:
        """Four zeros, in time, and nobody ended by itself."""
        zeros = not (self.lost or self.twice or self.changed or self.false)
        return zeros and self.final_after <= FINAL_WITHIN and not self.ended and len(self.ids) > 0


async def counted(
    seed: int,
    minutes: float,
    capacity: float,
    deaths: Sequence[Death],
    clients: LoadClient,
    ids: Sequence[str],
    final_after: float,
    ended: Sequence[str],
    sample: int,
) -> Outcome:
    """Every id in both topics and in Cassandra, a sample of them in GET."""
    wanted = frozenset(ids)
    created, published, stored = (
        await readers.created(wanted),
        await readers.published(wanted),
        await readers.stored(wanted),
    )
    some = random.Random(seed).sample(sorted(wanted), min(sample, len(wanted)))
    shown = await readers.shown(some)
    latest = {id_: verdicts[-1] for id_, verdicts in published.items()}
    differ = {id_ for id_ in stored if id_ in latest and stored[id_] != latest[id_].status}
    differ |= {id_ for id_ in some if id_ in latest and shown.get(id_) != latest[id_].status}
    return Outcome(
        seed=seed,
        minutes=minutes,
        capacity=capacity,
        deaths=deaths,
        statuses=Counter(answer.status for answer in clients.answers),
        p99=percentile([a.answered - a.sent for a in clients.answers if a.status == 201], 99),
        ids=sorted(wanted),
        lost=len(wanted - (created.keys() & published.keys() & stored.keys())),
        twice=sum(count - 1 for count in created.values()),
        changed=sum(reconcile.is_flipped(verdicts) for verdicts in published.values()) + len(differ),
        false=len(wanted - created.keys()),
        published_again=sum(len(verdicts) - len(set(verdicts)) for verdicts in published.values()),
        unassessed=sum(verdict.reason is not None for verdict in latest.values()),
        final_after=final_after,
        ended=ended,
    )


def text(outcome: Outcome, wrong: Sequence[str] | None) -> str:
    """The report, as Markdown."""
    killed = Counter(death.part for death in outcome.deaths)
    answers = ", ".join(
        f"{status or 'none'}: {count:,}" for status, count in sorted(outcome.statuses.items())
    )
    memory = psutil.virtual_memory().total / 2**30
    loads = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    verify = "not run" if wrong is None else f"{len(wrong)} findings"
    lines = [
        "# Soak",
        "",
        f"    make soak SEED={outcome.seed} MINUTES={outcome.minutes:g}",
        "",
        f"{time.strftime('%Y-%m-%d %H:%M', time.gmtime())} UTC, {os.cpu_count()} cores, {memory:.0f} GiB, "
        f"load average {loads} at the end, everything on this machine.",
        "",
        "| | |",
        "| --- | --- |",
        f"| lost | {outcome.lost} |",
        f"| twice | {outcome.twice} |",
        f"| changed verdicts | {outcome.changed} |",
        f"| false 201 | {outcome.false} |",
        f"| answered 201, the measuring of the capacity included | {len(outcome.ids):,} |",
        f"| POSTs by answer | {answers} |",
        f"| capacity, transactions a second until stored | {outcome.capacity:.0f}; the load was half of it |",
        f"| p99 of a 201 | {outcome.p99 * 1000:.0f} ms |",
        f"| all final after the last part's return | {outcome.final_after:.1f} s |",
        f"| published again, the same | {outcome.published_again} |",
        f"| rejected because no antifraud replica answered for 5 s | {outcome.unassessed} |",
        f"| parts that ended by themselves | {', '.join(outcome.ended) or 'none'} |",
        f"| `faust -A app.main verify` | {verify} |",
        f"| killed | {', '.join(f'{name} {count}' for name, count in sorted(killed.items()))} |",
        "",
    ]
    return "\n".join(lines)
