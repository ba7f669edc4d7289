"""What a history was before its newest transactions, so that these can be taken back."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from history.layout import WORDS
from history.transactions import Ints

Words = NDArray[np.uint64]


class Journal:
    """Customers' rows as they were before each transaction, oldest first."""

    def __init__(self) -> None:
        self._batches: deque[tuple[Ints, Words]] = (
            deque()
        )  # whose rows, and the rows before; one per transaction
        self._length = 0

    def append(self, rows: Ints, before: Words) -> None:
        """Add a batch of transactions."""
        self._batches.append((rows, before))
        self._length += len(rows)

    def drop_oldest(self, count: int) -> None:
        """These are not taken back any more."""
        self._check(count)
        self._length -= count
        while count:
            rows, before = self._batches.popleft()
            if len(rows) > count:
                self._batches.appendleft((rows[count:], before[count:]))
            count -= min(count, len(rows))

    def pop_newest(self, count: int) -> tuple[Ints, Words]:
        """Remove the newest; return whose rows, and the rows before, newest first: a customer's last one counts."""
        self._check(count)
        self._length -= count
        popped = []
        while count:
            rows, before = self._batches.pop()
            kept = max(len(rows) - count, 0)
            if kept:
                self._batches.append((rows[:kept], before[:kept]))
            popped.append((rows[kept:], before[kept:]))
            count -= len(rows) - kept
        return _newest_first(popped)

    def all(self) -> tuple[Ints, Words]:
        """Return what pop_newest of all would."""
        return _newest_first(list(reversed(self._batches)))

    def _check(self, count: int) -> None:
        if not 0 <= count <= self._length:
            raise ValueError(f"the journal has {self._length} transactions, not {count}")


def _newest_first(batches: list[tuple[Ints, Words]]) -> tuple[Ints, Words]:
    nothing = (np.empty(0, np.int64), np.empty((0, WORDS), np.uint64))
    rows, before = zip(nothing, *batches, strict=True)
    return np.concatenate([one[::-1] for one in rows]), np.concatenate([one[::-1] for one in before])
