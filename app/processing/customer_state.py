"""What is known of the customers of one partition: a fold of the log, never ahead of it but for what is under way.

The state after an offset of the status partition is made of the first verdicts before it, in their order, and of
nothing else: so whoever takes the partition has the same state, and `verify --features` can compute it again. What is
decided but not yet published is on top of that, so that a customer's next transaction sees it too; `rewind` takes it
off when the log may have gone another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from app.models.status import FIRST_VERDICT, TransactionStatus
from app.models.transaction import Transaction
from history.customers import CustomerHistory
from history.features import CUSTOMER_FEATURES, FEATURES, UNKNOWN
from history.transactions import Transactions

#: Rows of features that are made at a time where a whole log is folded in.
AT_ONCE = 10_000

#: Rows of history.features, one a transaction: int64.
Features = NDArray[np.int64]


class CustomerState:
    """The customers' history up to an offset, and the features of what comes next."""

    def __init__(self, history: CustomerHistory | None = None, folded_to: int = 0):
        """`history` is the fold of the status partition up to `folded_to`, an offset."""
        self.history = history or CustomerHistory()
        self.folded_to = folded_to
        #: Another one whenever features that were made may no longer be right.
        self.version = 0
        self._under_way = 0  # transactions on top of the fold
        #: Of the last one folded in: its offset and its id, by which a snapshot knows its log.
        self.last: tuple[int, str] = -1, ""
        #: Whether the log says what it begins with: the first status in an added partition does.
        self.is_on_record = True

    def observe(self, transactions: Sequence[Transaction]) -> Features:
        """The features of each, from those before it; from now on they are before what comes next."""
        self._under_way += len(transactions)
        return _features(self.history, transactions, journal=True)

    def forget(self, count: int) -> None:
        """The newest `count` that were observed will not be published."""
        self.history.undo(count)
        self._under_way -= count

    def published(self, offsets: Sequence[int], last_id: str) -> None:
        """The oldest that were observed are in the log at these offsets."""
        self.history.forget(len(offsets))
        self._under_way -= len(offsets)
        self.folded_to, self.last = offsets[-1] + 1, (offsets[-1], last_id)
        self.is_on_record = True

    def inherit(self, found: Iterable[tuple[int, TransactionStatus]]) -> None:
        """These (offset, status) were in another partition before this one was added; nothing is folded in yet."""
        self._add(found)
        self.last = -1, ""  # none of its own log

    def rewind(self) -> None:
        """Back to what is in the log: what was made of the rest has to be made again."""
        self.forget(self._under_way)
        self.version += 1

    def fold(self, found: Iterable[tuple[int, TransactionStatus]], next_offset: int) -> None:
        """These (offset, status) follow in the log, up to `next_offset`; nothing may be under way."""
        self._add(found)
        self.folded_to = next_offset

    def _add(self, found: Iterable[tuple[int, TransactionStatus]]) -> None:
        for some in self._first_verdicts(found):
            self.history.add(Transactions.of([one for _, one in some]))

    def recomputed(
        self, found: Iterable[tuple[int, TransactionStatus]]
    ) -> Iterator[tuple[int, TransactionStatus, list[int]]]:
        """The first verdicts among these, which follow in the log, each with its features; nothing may be under way."""
        for some in self._first_verdicts(found):
            rows = _features(self.history, [one for _, one in some])
            for (offset, one), row in zip(some, rows.tolist(), strict=True):
                yield offset, one, row

    def _first_verdicts(
        self, found: Iterable[tuple[int, TransactionStatus]]
    ) -> Iterator[list[tuple[int, TransactionStatus]]]:
        firsts = ((offset, one) for offset, one in found if one["revision"] == FIRST_VERDICT)
        while some := list(islice(firsts, AT_ONCE)):
            self.last = some[-1][0], some[-1][1]["transaction_id"]
            yield some


def _features(
    history: CustomerHistory, transactions: Sequence[Transaction], *, journal: bool = False
) -> Features:
    rows = np.full((len(transactions), len(FEATURES)), UNKNOWN, np.int64)
    rows[:, : len(CUSTOMER_FEATURES)] = history.observe(Transactions.of(transactions), journal)
    return rows
