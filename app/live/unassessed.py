"""Transactions that were rejected because no antifraud replica answered, and wait for `make reassess`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from app.live.feed import Written
from app.models.assessment import ANTIFRAUD_UNAVAILABLE
from app.models.status import FIRST_VERDICT, TransactionStatus

#: Ids kept, of those that wait or waited; beyond, the oldest that wait are only counted.
KEPT = 50_000


class Unassessed:
    """Counts them since the bff began: all that its agent reads, and all that the live feed reads while it runs.

    The two are not equally far, so that each id's highest revision is what counts.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int | None]] = {}  # revision; when it was decided, if it waits (ms)
        self._forgotten = 0
        self._first_forgotten: int | None = None

    def note(self, statuses: Iterable[TransactionStatus]) -> None:
        """More of the log, in any order, the same again too."""
        for status in statuses:
            waits, revision = status["reason"] == ANTIFRAUD_UNAVAILABLE, status["revision"]
            if not waits and revision == FIRST_VERDICT:
                continue
            transaction_id = status["transaction_id"]
            if revision > self._known.get(transaction_id, (0, None))[0]:
                self._known.pop(transaction_id, None)  # the newest last
                self._known[transaction_id] = revision, status["decided_at"] if waits else None
        while len(self._known) > KEPT:
            _, decided_at = self._known.pop(next(iter(self._known)))
            if decided_at is not None:
                self._forgotten += 1
                self._first_forgotten = self._first_forgotten or decided_at

    def document(self) -> dict[str, Any]:
        """How many wait, and when the first of them was decided, in seconds since 1970."""
        waiting = [decided_at for _, decided_at in self._known.values() if decided_at is not None]
        first = min([*waiting, *([self._first_forgotten] if self._first_forgotten else [])], default=None)
        return {
            "count": len(waiting) + self._forgotten,
            "since": None if first is None else round(first / 1000, 3),
        }

    # As a listener of the live feed

    def begin(self, offsets: Mapping[int, int]) -> None:
        """What is known stays known."""

    def take(self, written: Written) -> None:
        """More was written."""
        self.note(one.value for one in written.statuses)

    def went_live(self) -> None:
        """Nothing to do."""
