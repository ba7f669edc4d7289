"""What merchants did in one stretch of one partition's log: the larger ones by day, whatever the batches.

Each transaction is taken by itself and in the log's order, so that the totals of a stretch are a function of it alone.
A system with a new merchant in every transaction must not make a topic of totals as long as the log: of a stretch only
the KEPT_MOST rows with the most transactions stay, and whenever twice as many are held, the smaller half is let go.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any, TypedDict

from history.transactions import AMOUNT_MOST, day_of

KEPT_MOST = 2_000  # rows: a merchant on a day
HELD_MOST = 2 * KEPT_MOST
#: Bytes of their ids in all: a record must fit into a message.
BYTES_MOST = 400_000


class Total(TypedDict):
    """A merchant on one day, as far as the stretch has it."""

    day: int  # since 1970, by the bff's clock
    merchant_id: str
    count: int  # transactions
    sum_in_cents: int
    first_visits: int  # transactions of customers to whom the merchant was new


class MerchantTotals:
    """The totals of a stretch that goes on."""

    def __init__(self) -> None:
        self._of: dict[tuple[int, str], list[int]] = {}

    def __len__(self) -> int:
        return len(self._of)

    def add(self, transaction: Mapping[str, Any], *, is_first_visit: bool) -> None:
        """One more of the log's, the next one."""
        key = day_of(transaction["event_timestamp"]), transaction["merchant_id"]
        total = self._of.get(key)
        if total is None:
            if len(self._of) == HELD_MOST:
                self._of = dict(self._largest())
            total = self._of[key] = [0, 0, 0]
        total[0] += 1
        total[1] += min(max(transaction["value_in_cents"], 0), AMOUNT_MOST)
        total[2] += is_first_visit

    def largest(self) -> list[Total]:
        """At most KEPT_MOST rows and BYTES_MOST, the largest first; of those as large the one that came earlier."""
        rows = [
            Total(day=day, merchant_id=merchant_id, count=count, sum_in_cents=cents, first_visits=visits)
            for (day, merchant_id), (count, cents, visits) in self._largest()
        ]
        lengths = accumulate(len(row["merchant_id"].encode()) for row in rows)
        return [row for row, bytes_ in zip(rows, lengths, strict=True) if bytes_ <= BYTES_MOST]

    def _largest(self) -> list[tuple[tuple[int, str], list[int]]]:
        by_count = sorted(self._of.items(), key=lambda row: row[1][0], reverse=True)
        return by_count[:KEPT_MOST]
