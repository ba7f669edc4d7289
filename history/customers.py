"""The history of every customer: features of each transaction from those before it, whatever the batches.

history = CustomerHistory()
features = history.observe(batch, journal=True)   # rows x CUSTOMER_FEATURES
history.forget(len(batch))                        # it is in the log
history.undo(len(batch))                          # or: it is not
for customer_id, packed in history.take_changes(): ...   # what a snapshot has to write
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from history import layout
from history.features import CUSTOMER_FEATURES
from history.journal import Journal, Words
from history.step import add, features
from history.transactions import Bounded, Ints, Transactions, bounded
from history.waves import waves

_AT_ONCE = 1_024  # transactions: what one works on stays in the processor's cache
_CHUNK = 4_096  # customers; room is made for so many at a time (4.6 MB)
_LOADED = 8_192  # customers at a time


class CustomerHistory:
    """One row of fixed size per customer (layout.py), about 1.3 KB each with its id. Not for several threads."""

    def __init__(self) -> None:
        self._row_of: dict[str, int] = {}
        self._ids: list[str] = []
        # Rows behind the last customer are zero. Nothing may hold a view of these two beyond a call: they move.
        self._words = np.zeros((0, layout.WORDS), np.uint64)
        self._dirty = np.zeros(0, np.bool_)
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

    def _add(self, rows: Ints, given: Bounded) -> Words:
        """Add transactions to their customers' rows; return each one's row before it."""
        before = np.empty((len(rows), layout.WORDS), np.uint64)
        for wave in waves(rows):
            at = rows[wave]
            words = before[wave] = self._words[at]
            add(layout.as_rows(words), given[wave])
            self._words[at] = words
        self._dirty[rows] = True
        return before

    def mark(self) -> int:
        """How many transactions can be taken back."""
        return len(self._journal)

    def undo(self, count: int) -> None:
        """Take back the newest `count` journalled transactions.

        Nothing may have been observed without journal since. More than the journal has: ValueError.
        """
        rows, before = self._journal.pop_newest(count)
        self._words[rows] = before  # of a customer's several rows the last one stays, which is the oldest
        self._dirty[rows] = True
        while self._ids and not layout.as_rows(self._words[len(self._ids) - 1 :][:1])["count"][0]:
            del self._row_of[self._ids.pop()]
            self._dirty[len(self._ids)] = False

    def forget(self, count: int) -> None:
        """The oldest `count` journalled transactions are in the log, they stay."""
        self._journal.drop_oldest(count)

    def rows_of(self, customer_ids: Sequence[str]) -> Ints:
        """Return the customers' rows, -1 for one without history; rows are valid until the next undo."""
        row_of = self._row_of
        return np.array([row_of.get(one, -1) for one in customer_ids], np.int64)

    def pack(self, row: int) -> bytes:
        """Return a customer's row for a snapshot (layout.PACKED bytes, a version first)."""
        if not 0 <= row < len(self):
            raise IndexError(f"no row {row} among {len(self)}")
        return layout.pack(self._words[row : row + 1])[0]

    def unpack(self, customer_id: str, packed: bytes) -> None:
        """Set a customer's history to what `pack` returned; other bytes are a ValueError."""
        self.load([(customer_id, packed)])

    def load(self, items: Iterable[tuple[str, bytes]]) -> None:
        """Set many customers' histories (id and packed row); they do not count as dirty. Other bytes: ValueError."""
        remaining = iter(items)
        while some := list(islice(remaining, _LOADED)):
            words = layout.unpack([packed for _, packed in some])
            rows = self._rows_for([customer_id for customer_id, _ in some])
            self._words[rows] = words
            self._dirty[rows] = False

    def take_dirty(self) -> list[str]:
        """Return the ids of the customers that have changed since this or take_changes was called last."""
        rows = np.flatnonzero(self._dirty)
        self._dirty[rows] = False
        return [self._ids[row] for row in rows.tolist()]

    def take_changes(self) -> list[tuple[str, bytes]]:
        """Return the dirty customers' packed rows, without the journalled transactions: as the log has them.

        Those with journalled transactions stay dirty, for the next time.
        """
        journalled, before = self._journal.all()
        rows = np.union1d(np.flatnonzero(self._dirty), journalled)
        words = self._words[rows]
        words[np.searchsorted(rows, journalled)] = before
        self._dirty[rows] = False
        self._dirty[journalled] = True
        in_log = layout.as_rows(words)["count"] > 0
        ids = [self._ids[row] for row in rows[in_log].tolist()]
        return list(zip(ids, layout.pack(words[in_log]), strict=True))

    def dump(self) -> tuple[list[str], Words]:
        """Return all customers' ids and rows (layout.py), without the journalled transactions: as the log has them."""
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
        """Return the history that `dump` has returned."""
        history = cls()
        rows = history._rows_for(customer_ids)
        history._words[rows] = words
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
        if customers <= len(self._dirty):
            return
        room = -(-customers // _CHUNK) * _CHUNK
        # In place: for a large array the C library moves pages, it does not copy them. New rows are zero.
        self._words.resize((room, layout.WORDS), refcheck=False)
        self._dirty.resize(room, refcheck=False)
