"""What was decided since a time, and the labels of it: read from the log alone."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from app.commands.evaluate.measures import DAY, Decided
from app.commands.shared.decoded import decoded
from app.commands.shared.read_range import WHOLE, ReadRange
from app.errors import Poison
from app.messaging import topics
from app.models.label import StoredLabel, TransactionLabel, rank, unstorable_label
from app.models.status import TransactionStatus
from app.settings import Settings


@dataclass(slots=True)
class Evaluated:
    """First the statuses are added, then the labels; of each a record may come more than once and in any order.

    Of a transaction's statuses the highest revision counts, of its labels the newest. `since`: milliseconds since 1970,
    None for all of the log. Some 400 bytes for each decided transaction.
    """

    since: int | None = None
    unreadable: int = 0
    undecided: set[str] = field(default_factory=set)  # labelled, and no verdict in the span
    _decided: dict[str, tuple[int, Decided]] = field(default_factory=dict)
    _labels: dict[str, StoredLabel] = field(default_factory=dict)
    _customers: dict[str, str] = field(default_factory=dict)  # one text for each

    def add_status(self, status: TransactionStatus) -> None:
        """One more record of transaction_status."""
        id_, customer_id = status["transaction_id"], status["customer_id"]
        if status["status"] == "pending" or self._decided.get(id_, (-1,))[0] >= status["revision"]:
            return
        self._decided[id_] = (
            status["revision"],
            Decided(
                self._customers.setdefault(customer_id, customer_id),
                status["event_timestamp"] // DAY,
                status["status"] == "rejected",
                status["score"],
            ),
        )

    def add_label(self, label: TransactionLabel) -> None:
        """One more record of transaction_label; those of transactions from before the span are left out."""
        id_ = label["transaction_id"]
        if unstorable_label(label, time.time()):
            self.unreadable += 1
            return
        if id_ not in self._decided:
            if self.since is None or label["event_timestamp"] * 1000 >= self.since:
                self.undecided.add(id_)
            return
        held = self._labels.get(id_)
        if held is None or rank(label) > rank(held):
            self._labels[id_] = label

    @property
    def decided(self) -> list[Decided]:
        """Each decided transaction, with its label if it has one."""
        return [
            one._replace(label=self._labels[id_]["label"]) if id_ in self._labels else one
            for id_, (_, one) in self._decided.items()
        ]


async def evaluated(settings: Settings, since: int | None, out: Any) -> Evaluated:
    """Read both topics to where they end now; LogUnavailable, KafkaError. Progress goes to `out`."""
    found = Evaluated(since)
    span = WHOLE if since is None else ReadRange(since=since)
    async for status in _records(settings, topics.STATUS, span, found, out):
        found.add_status(status)
    # Whole: a transaction may have its label before its verdict.
    async for label in _records(settings, topics.LABEL, WHOLE, found, out):
        found.add_label(label)
    return found


async def _records(
    settings: Settings, topic: str, span: ReadRange, found: Evaluated, out: Any
) -> AsyncIterator[Any]:
    async for records in decoded(settings, topic, span, out):
        for one in records:
            if isinstance(one, Poison):
                found.unreadable += 1
            else:
                yield one
