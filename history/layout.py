"""A customer's state: one row of fixed size, the same bytes in memory and in a snapshot.

Only what some feature reads is kept: of the last 32 transactions log time, amount and merchant, of the last one also
the client's clock and the place. Amounts have 40 bits, as 32 low ones and 8 high ones. A row of zeros is a customer
without history.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from history.transactions import BANDS, Ints

Rows = NDArray[Any]  # of ROW: structured

RECENT = 32  # transactions kept one by one
#: Buckets of each size: the current one, and as many as the longest window has.
FOUR_HOURS, DAYS = 7, 31
BUCKETS = FOUR_HOURS + DAYS

ROW = np.dtype(
    [
        ("count", "<i8"),  # of all transactions
        ("client_time", "<i8"),  # of the last transaction
        ("bucket_sums", "<i8", (BUCKETS,)),
        ("bucket_counts", "<u4", (BUCKETS,)),
        ("bucket_largest", "<u4", (BUCKETS,)),
        ("recent_times", "<u4", (RECENT,)),  # transaction n is in slot n % RECENT
        ("recent_merchants", "<u4", (RECENT,)),
        ("recent_amounts", "<u4", (RECENT,)),
        ("bands", "<u4", (BANDS,)),  # transactions in each band of the solar day
        ("log_time", "<u4"),  # of the last transaction
        ("latitude", "<i4"),  # likewise
        ("longitude", "<i4"),
        ("recent_amounts_high", "u1", (RECENT,)),
        ("bucket_largest_high", "u1", (BUCKETS,)),
        ("_", "u1", (6,)),  # a multiple of eight bytes
    ]
)
WORDS = ROW.itemsize // 8  # a row as words: numpy copies these much faster than structures

LOW_BITS = 2**32 - 1  # of an amount

VERSION = 1  # snapshots name it: raise it with any change of ROW or of what a field means


def as_rows(words: NDArray[np.uint64]) -> Rows:
    """Return words (customers x WORDS) as structured rows, on the same memory."""
    return words.view(ROW)[:, 0]


def amounts_of(low: NDArray[np.uint32], high: NDArray[np.uint8]) -> Ints:
    """Return amounts from their two fields."""
    amounts = high.astype(np.int64)
    amounts <<= 32
    amounts |= low
    return amounts
