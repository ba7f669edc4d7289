"""The history of every customer: features of each transaction from those before it, whatever the batches.

history = CustomerHistory()
features = history.observe(batch, journal=True)   # rows x CUSTOMER_FEATURES
history.forget(len(batch))                        # it is in the log
history.undo(len(batch))                          # or: it is not
customer_ids, rows = history.dump()               # what a snapshot has: the log, without what is not in it yet
history = CustomerHistory.of(customer_ids, rows)  # where another process goes on
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from history import layout
from history.features import CUSTOMER_FEATURES
from history.journal import Journal, Words
from history.step import add, features
from history.transactions import Bounded, Ints, Transactions, bounded
from history.waves import waves

_AT_ONCE = 1_024  # transactions: what one works on stays in the processor's cache
_CHUNK = 4_096  # customers; room is made for so many at a time (4.6 MB)


class CustomerHistory:
    """One row of fixed size per customer (layout.py), about 1.3 KB each with its id. Not for several threads."""

    def __init__(self) -> None:
        self._row_of: dict[str, int] = {}
        self._ids: list[str] = []
        # Rows behind the last customer are zero. Nothing may hold a view of it beyond a call: it moves.
        self._words = np.zeros((0, layout.WORDS), np.uint64)
        self._journal = Journal()

    def __len__(self) -> int:
        """How many customers there are."""
        return len(self._ids)

    def observe(self, batch: Transactions, journal: bool = False) -> Ints:
        """Return rows x CUSTOMER_FEATURES, each from the transactions before it, and remember the batch.

        `journal`: it can be taken back by `undo` until `forget`. Columns of unlike length are a ValueError; any other
        input has a defined result (transactions.py).
        """
        given, rows = bounded(batch), self._rows_for(batch.customer_ids)
        found = np.empty((len(batch), len(CUSTOMER_FEATURES)), np.int64)
        for start in range(0, len(batch), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            before = self._add(rows[part], given[part])
            found[part] = features(layout.as_rows(before), given[part])
            if journal:
                self._journal.append(rows[part], before)
        return found

    def add(self, batch: Transactions) -> None:
        """Remember the batch, without its features, for good; ValueError as `observe`."""
        given, rows = bounded(batch), self._rows_for(batch.customer_ids)
        for start in range(0, len(batch), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            self._add(rows[part], given[part])

    def _add(self, rows: Ints, given: Bounded) -> Words:
        """Add transactions to their customers' rows; return each one's row before it."""
        before = np.empty((len(rows), layout.WORDS), np.uint64)
        for wave in waves(rows):
            at = rows[wave]
            words = before[wave] = self._words[at]
            add(layout.as_rows(words), given[wave])
            self._words[at] = words
        return before

    def undo(self, count: int) -> None:
        """Take back the newest `count` journalled transactions.

        Nothing may have been observed without journal since. More than the journal has: ValueError.
        """
        rows, before = self._journal.pop_newest(count)
        self._words[rows] = before  # of a customer's several rows the last one stays, which is the oldest
        while self._ids and not layout.as_rows(self._words[len(self._ids) - 1 :][:1])["count"][0]:
            del self._row_of[self._ids.pop()]

    def forget(self, count: int) -> None:
        """The oldest `count` journalled transactions are in the log, they stay."""
        self._journal.drop_oldest(count)

    def dump(self) -> tuple[list[str], Words]:
        """Return all customers' ids and rows (customers x layout.WORDS), for a snapshot: a copy.

        It is without the journalled transactions, and without customers who have no others: as the log has them.
        """
        words = self._words[: len(self)].copy()
        journalled, before = self._journal.all()
        if len(journalled):
            words[journalled] = before  # of a customer's several rows the last one stays, which is the oldest
        in_log = layout.as_rows(words)["count"] > 0
        if in_log.all():
            return self._ids.copy(), words
        return [self._ids[row] for row in np.flatnonzero(in_log).tolist()], words[in_log]

    @classmethod
    def of(cls, customer_ids: Sequence[str], words: Words) -> CustomerHistory:
        """Return the history of which `dump` has returned this; the rows are copied, and nothing can be undone."""
        history = cls()
        history._ids = list(customer_ids)
        history._row_of = {one: row for row, one in enumerate(customer_ids)}
        history._make_room(len(customer_ids))
        history._words[: len(customer_ids)] = words
        return history

    def _rows_for(self, customer_ids: Sequence[str]) -> Ints:
        """Return the customers' rows, new ones for new customers."""
        row_of, ids = self._row_of, self._ids
        rows = list(map(row_of.get, customer_ids))
        if None in rows:
            for at, one in enumerate(customer_ids):
                if rows[at] is None:
                    rows[at] = row_of.setdefault(one, len(ids))
                    if rows[at] == len(ids):
                        ids.append(one)
            self._make_room(len(ids))
        return np.array(rows, np.int64)

    def _make_room(self, customers: int) -> None:
        if customers <= len(self._words):
            return
        room = -(-customers // _CHUNK) * _CHUNK
        # In place: for a large array the C library moves pages, it does not copy them. New rows are zero.
        self._words.resize((room, layout.WORDS), refcheck=False)
