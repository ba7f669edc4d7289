"""What is known of merchants: a fold of topic merchant_totals up to an offset, and of nothing else.

The offset goes into each verdict's record (`merchants_as_of`), so that `verify --features` can compute the same again,
however far another worker had read at that moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from app.models.merchant_totals import Source, Stretch
from history.features import MERCHANT_FEATURES, UNKNOWN
from history.merchant_totals import Total
from history.merchants import MerchantDay, MerchantHistory
from history.transactions import Ints, day_of

#: Days of the log that there must be before a merchant without transactions counts as a new one: until then all are
#: unknown.
WARM_UP = 7
#: Merchants in memory, some 1.3 KB each; when there are more, the half that is known best stays.
MOST = 50_000
#: Rows of features kept for the next transaction of the same merchant and day; a batch's more, for a moment.
ROWS_MOST = 100_000

#: No merchant's id: a lone surrogate cannot be in a record.
NOBODY = "\ud800"

_NO_ROWS = np.empty((0, len(MERCHANT_FEATURES)), np.int64)
NOTHING_KNOWN = [UNKNOWN] * len(MERCHANT_FEATURES)


class CountedTo(dict[tuple[Source, int], int]):
    """Up to which offset each partition of a topic is counted."""

    def counts(self, stretch: Stretch) -> bool:
        """Count it, if it follows on: another one of the same stretch, or of a part of it, does not."""
        key = stretch["source"], stretch["partition"]
        if stretch["from_offset"] != self.get(key, stretch["from_offset"]):
            return False
        self[key] = stretch["to_offset"]
        return True


class KnownMerchants:
    """As of an offset of merchant_totals."""

    def __init__(self) -> None:
        self.history = MerchantHistory()
        self.folded_to = 0
        self.counted_to = CountedTo()
        self._first_day: int | None = None
        self._row_of: dict[tuple[str | None, int], int] = {}  # merchant and day; None: any that is not known
        self._rows = _NO_ROWS

    def fold(self, found: Iterable[tuple[int, Stretch]], next_offset: int) -> None:
        """These (offset, record) follow in the topic, up to `next_offset`."""
        for _, stretch in found:
            if self.counted_to.counts(stretch):
                self._add(stretch)
        if next_offset != self.folded_to:
            self._forget()
        self.folded_to = next_offset

    def _add(self, stretch: Stretch) -> None:
        days: dict[int, list[Total]] = {}
        for total in stretch["totals"]:
            days.setdefault(total["day"], []).append(total)
        for day, totals in sorted(days.items()):
            self.history.add_day(day, _merchant_day(totals))
        if days:
            self._first_day = min(days if self._first_day is None else [self._first_day, *days])
        for frauds in stretch["frauds"]:
            for _ in range(frauds["count"]):
                self.history.label(frauds["merchant_id"], frauds["day"], True, frauds["known_on"])
        if len(self.history) > MOST:
            self.history.keep(MOST // 2)

    def features(self, merchant_ids: Sequence[str], event_timestamps: Sequence[int]) -> Ints | None:
        """Return rows x history.features.MERCHANT_FEATURES for transactions at these times; None: nothing is known."""
        if self._first_day is None:
            return None
        days = [day_of(seconds) for seconds in event_timestamps]
        keys = [
            (one if one in self.history else None, day) for one, day in zip(merchant_ids, days, strict=True)
        ]
        if len(self._row_of) > ROWS_MOST:
            self._forget()
        if new := set(keys) - self._row_of.keys():
            self._learn(list(new))
        chosen: Ints = self._rows[[self._row_of[key] for key in keys]]
        return chosen

    def _learn(self, keys: Sequence[tuple[str | None, int]]) -> None:
        assert self._first_day is not None
        days = np.array([day for _, day in keys], np.int64)
        answered = np.flatnonzero(days >= max(self._first_day + WARM_UP, self.history.oldest_day))
        names = [keys[n][0] for n in answered.tolist()]
        rows = np.full((len(keys), len(MERCHANT_FEATURES)), UNKNOWN, np.int64)
        rows[answered] = self.history.features(
            [NOBODY if name is None else name for name in names], days[answered]
        )
        self._row_of |= {key: number for number, key in enumerate(keys, len(self._rows))}
        self._rows = np.concatenate([self._rows, rows])

    def _forget(self) -> None:
        self._row_of, self._rows = {}, _NO_ROWS


def _merchant_day(totals: Sequence[Total]) -> MerchantDay:
    return MerchantDay(
        [one["merchant_id"] for one in totals],
        np.array([one["count"] for one in totals], np.int64),
        np.array([one["sum_in_cents"] for one in totals], np.int64),
        np.array([one["first_visits"] for one in totals], np.int64),
    )
