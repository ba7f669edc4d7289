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

VERSION = 1  # the first byte of a packed row: raise it with any change of ROW or of what a field means
PACKED = 1 + ROW.itemsize  # bytes


def as_rows(words: NDArray[np.uint64]) -> Rows:
    """Return words (customers x WORDS) as structured rows, on the same memory."""
    return words.view(ROW)[:, 0]


def amounts_of(low: NDArray[np.uint32], high: NDArray[np.uint8]) -> Ints:
    """Return amounts from their two fields."""
    amounts = high.astype(np.int64)
    amounts <<= 32
    amounts |= low
    return amounts


def pack(words: NDArray[np.uint64]) -> list[bytes]:
    """Return each of the rows (customers x WORDS) as bytes, the version first."""
    data, size = words.tobytes(), ROW.itemsize
    head = bytes([VERSION])
    return [head + data[at : at + size] for at in range(0, len(data), size)]


def unpack(packed: list[bytes]) -> NDArray[np.uint64]:
    """Return the rows of packed ones; what this version has not packed is a ValueError."""
    for one in packed:
        if len(one) != PACKED or one[0] != VERSION:
            version = one[0] if one else "none"
            raise ValueError(
                f"a packed history has version {VERSION} and {PACKED} bytes, not version {version} and {len(one)}"
            )
    data = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), PACKED)
    return np.ascontiguousarray(data[:, 1:]).view("<u8")
