"""The history of every merchant, from closed days: what a day's features are is settled before the day begins.

A merchant's customers are in all partitions, so its transactions have no common order. Therefore a transaction of day d
(log time // 86,400) sees whole days only, those before d, and labels only that were known before d. Days and labels may
be added in any order, and later ones may be there already: the features of day d are the same.

Windows of W days: transactions of the days d - W to d - 1. Windows of labels end DELAY days earlier: the transactions
of the days d - DELAY - W to d - DELAY - 1, and those of them whose fraud was known within DELAY days.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from history.features import CUSTOMER_FEATURES, MERCHANT_FEATURES, UNKNOWN
from history.labels import FraudLabels
from history.transactions import DAY, LOG_TIME_MOST, Ints, Transactions, amounts

DELAY = (
    7  # days until a label counts as late: frauds found later are in merchant_frauds and the days since only
)
WINDOWS = {"1d": 1, "7d": 7, "30d": 30}  # days
_DAYS = np.array(list(WINDOWS.values()))[:, None]
KEPT = 64  # days up to the newest one
FRAUDS_MOST = 1_000_000
_CHUNK = 4_096  # merchants; room is made for so many at a time
_NOBODY = 0  # the row of a merchant without history


@dataclass(frozen=True)
class MerchantDay:
    """What merchants did on one day, or a part of it: parts add up. One row per merchant."""

    merchant_ids: Sequence[str]
    counts: Ints  # transactions
    sums: Ints  # cents
    first_visits: Ints  # transactions of customers to whom the merchant was new


def merchant_days(batch: Transactions, customer_features: Ints) -> dict[int, MerchantDay]:
    """Return a batch's part of each day, from its columns and from what CustomerHistory.observe returned for it.

    The day is that of the bff's clock, of which the record is the only source. A first visit is one with new_merchant
    1 or -1: a customer who returns after 32 other transactions counts again.
    """
    day = np.minimum(np.maximum(batch.event_timestamp, 0), LOG_TIME_MOST) // DAY
    new = customer_features[:, CUSTOMER_FEATURES.index("new_merchant")] != 0
    number: dict[str, int] = {}
    merchant = np.array([number.setdefault(one, len(number)) for one in batch.merchant_ids], np.int64)
    ids, cents, found = list(number), amounts(batch), {}
    for one in np.unique(day).tolist():
        chosen = day == one
        present, place = np.unique(merchant[chosen], return_inverse=True)
        totals = [np.zeros(len(present), np.int64) for _ in range(3)]
        for total, column in zip(totals, (1, cents[chosen], new[chosen]), strict=True):
            np.add.at(total, place, column)  # bincount's weights are floats
        found[one] = MerchantDay([ids[row] for row in present.tolist()], *totals)
    return found


class MerchantHistory:
    """Daily totals of the newest KEPT days in rings, some 1.3 KB per merchant, and all fraud labels.

    `delay` is DELAY wherever payments are decided; the Handbook's benchmark, where labels come sooner, has another.
    """

    def __init__(self, delay: int = DELAY) -> None:
        self._delay = delay
        self._row_of: dict[str, int] = {}
        self._newest = 0  # day; day i is in column i % KEPT
        self._counts = np.zeros((1, KEPT), np.uint32)
        self._sums = np.zeros((1, KEPT), np.int64)
        self._visits = np.zeros((1, KEPT), np.uint32)
        self._frauds = np.zeros((1, KEPT), np.uint32)  # by the transaction's day; known within DELAY days
        self._all_visits = np.zeros(1, np.int64)
        self._labels: dict[int, FraudLabels] = {}

    def add_day(self, day: int, totals: MerchantDay) -> None:
        """Add what merchants did on a day, or a part of it; each part once."""
        rows = self._rows_for(totals.merchant_ids)
        np.add.at(self._all_visits, rows, totals.first_visits)
        if self._keeps(day):
            column = day % KEPT
            np.add.at(self._counts[:, column], rows, totals.counts.astype(np.uint32))
            np.add.at(self._sums[:, column], rows, totals.sums)
            np.add.at(self._visits[:, column], rows, totals.first_visits.astype(np.uint32))

    def label(self, merchant_id: str, day_of_transaction: int, is_fraud: bool, known_on_day: int) -> None:
        """Add one transaction's label, once; it counts from the day after it was known, never before."""
        if not is_fraud:
            return
        (row,) = self._rows_for([merchant_id]).tolist()
        known_on = max(known_on_day, day_of_transaction)
        self._labels.setdefault(row, FraudLabels()).add(known_on, day_of_transaction)
        if known_on <= day_of_transaction + self._delay and self._keeps(day_of_transaction):
            self._frauds[row, day_of_transaction % KEPT] += 1

    def __len__(self) -> int:
        return len(self._row_of)

    def __contains__(self, merchant_id: str) -> bool:
        return merchant_id in self._row_of

    @property
    def oldest_day(self) -> int:
        """The earliest day that `features` can answer for."""
        return self._newest - KEPT + 1 + self._delay + max(WINDOWS.values())

    def keep(self, most: int) -> None:
        """Forget all but `most` merchants: those labelled, else those seen last, of these the busier ones stay."""
        columns = np.arange(KEPT)
        day = self._newest - (self._newest - columns) % KEPT
        last = np.where(self._counts > 0, day, -1).max(axis=1)
        count = self._counts.sum(axis=1, dtype=np.int64)
        names = list(self._row_of)  # of the rows 1, 2, ...
        order = sorted(
            range(1, len(names) + 1),
            key=lambda row: (row in self._labels, last[row], count[row]),
            reverse=True,
        )
        rows = [_NOBODY, *sorted(order[:most])]
        self._counts, self._sums, self._visits = self._counts[rows], self._sums[rows], self._visits[rows]
        self._frauds, self._all_visits = self._frauds[rows], self._all_visits[rows]
        self._labels = {new: self._labels[old] for new, old in enumerate(rows) if old in self._labels}
        self._row_of = {names[old - 1]: new for new, old in enumerate(rows) if old != _NOBODY}

    def features(self, merchant_ids: Sequence[str], day: int | Ints) -> Ints:
        """Return rows x MERCHANT_FEATURES for transactions of that day, or of a day each.

        A day so long ago that its windows are not kept any more is a ValueError.
        """
        rows = np.array([self._row_of.get(one, _NOBODY) for one in merchant_ids], np.int64)
        days = np.broadcast_to(np.asarray(day, np.int64), rows.shape)
        found = np.empty((len(rows), len(MERCHANT_FEATURES)), np.int64)
        for one in sorted(set(days.tolist())):  # nearly always one
            if one < self.oldest_day:
                raise ValueError(f"day {one} is no longer kept: the newest one is {self._newest}")
            chosen = np.flatnonzero(days == one)
            of_day = self._totals(rows[chosen], one) | self._known_frauds(rows[chosen], one)
            for at, name in enumerate(MERCHANT_FEATURES):
                found[chosen, at] = of_day[name]
        return found

    def _totals(self, rows: Ints, day: int) -> dict[str, Ints]:
        """Return what the rings tell of the rows on that day."""
        ages = day - (self._newest - (self._newest - np.arange(KEPT)) % KEPT)
        inside = (ages >= 1) & (ages <= _DAYS)
        labelled = (ages > self._delay) & (ages <= self._delay + _DAYS)
        counts = _by_window(self._counts[rows], np.concatenate([inside, labelled]))
        frauds, found = _by_window(self._frauds[rows], labelled), {}
        for name, count, there, fraud in zip(WINDOWS, counts, counts[len(WINDOWS) :], frauds, strict=False):
            found[f"merchant_count_{name}"] = count
            share = np.minimum(fraud * 1_000 // np.maximum(there, 1), 1_000)
            found[f"merchant_fraud_permille_{name}"] = np.where(there > 0, share, UNKNOWN)
        (total,), count = _by_window(self._sums[rows], inside[-1:]), found["merchant_count_30d"]
        found["merchant_mean"] = np.where(count > 0, total // np.maximum(count, 1), UNKNOWN)
        (later,) = _by_window(self._visits[rows], ages[None] < 1)
        found["merchant_customers"] = self._all_visits[rows] - later
        return found

    def _known_frauds(self, rows: Ints, day: int) -> dict[str, Ints]:
        frauds = np.zeros(len(rows), np.int64)
        first, last = np.full(len(rows), UNKNOWN, np.int64), np.full(len(rows), UNKNOWN, np.int64)
        for at, row in enumerate(rows.tolist()):
            known = self._labels[row].known_before(day) if row in self._labels else None
            if known is not None:
                frauds[at], first[at], last[at] = min(known[0], FRAUDS_MOST), day - known[1], day - known[2]
        return {
            "merchant_frauds": frauds,
            "merchant_days_since_first_fraud": first,
            "merchant_days_since_last_fraud": last,
        }

    def _keeps(self, day: int) -> bool:
        """Whether the rings have the day, after moving them on to it if it is the newest."""
        ahead = day - self._newest
        if ahead > 0:
            emptied = np.arange(day - min(ahead, KEPT) + 1, day + 1) % KEPT
            for ring in (self._counts, self._sums, self._visits, self._frauds):
                ring[:, emptied] = 0
            self._newest = day
        return ahead > -KEPT

    def _rows_for(self, merchant_ids: Sequence[str]) -> Ints:
        row_of = self._row_of
        rows = [row_of.setdefault(one, 1 + len(row_of)) for one in merchant_ids]
        if len(row_of) >= len(self._all_visits):
            room = -(-(len(row_of) + 1) // _CHUNK) * _CHUNK
            for ring in (self._counts, self._sums, self._visits, self._frauds):
                ring.resize((room, KEPT), refcheck=False)
            self._all_visits.resize(room, refcheck=False)
        return np.array(rows, np.int64)


def _by_window(values: NDArray[np.integer], inside: NDArray[np.bool_]) -> Ints:
    """Return windows x rows: of each row of a ring the sum of the days that are inside a window."""
    totals: Ints = inside.astype(np.int64) @ values.T.astype(np.int64)
    return totals
