"""Count, sum and largest amount of longer windows, from buckets of log time: 4 hours for 24 h, days for 7 and 30 days.

A bucket's index is log time // its size. A window of W seconds at log time t has the buckets with an index of at least
t // size - W // size: the current one, as far as it has come, and the W // size before it, whole. So it reaches back
between W and W + size, as Chronon's "sawtooth" windows do. The bucket with index i is in slot i % slots; which index a
slot has follows from the customer's last log time, so it is not stored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from history.features import UNKNOWN
from history.layout import BUCKETS, DAYS, FOUR_HOURS, LOW_BITS, Rows, amounts_of
from history.transactions import DAY, Ints

#: Cents that a bucket's sum grows to at most: the sum of 31 of them is still an int64.
SUM_MOST = 2**57

_SIZES = np.array([4 * 3_600, DAY])  # seconds
_SLOTS = np.array([FOUR_HOURS, DAYS])
_FIRST_COLUMNS = np.array([0, FOUR_HOURS])
#: The row's bucket columns: which of the two sizes each has, and which slot it is.
_KIND = np.repeat([0, 1], _SLOTS)
_SLOT = np.arange(BUCKETS) - _FIRST_COLUMNS[_KIND]

#: A window's columns, and how many whole buckets it has before the current one.
WINDOWS = {
    "24h": (slice(0, FOUR_HOURS), FOUR_HOURS - 1),
    "7d": (slice(FOUR_HOURS, BUCKETS), 7),
    "30d": (slice(FOUR_HOURS, BUCKETS), DAYS - 1),
}


def features(state: Rows, time: Ints) -> dict[str, Ints]:
    """Return the features of the long windows, by name; `state` is each transaction's customer before it."""
    ages = _ages(state["log_time"], time)
    counts, sums = state["bucket_counts"], state["bucket_sums"]
    largest = amounts_of(state["bucket_largest"], state["bucket_largest_high"])
    found = {}
    for name, (columns, most) in WINDOWS.items():
        inside = ages[:, columns] <= most
        count = (counts[:, columns] * inside).sum(axis=1, dtype=np.int64)
        found[f"count_{name}"] = count
        found[f"sum_{name}"] = (sums[:, columns] * inside).sum(axis=1)
        found[f"largest_{name}"] = np.where(count > 0, (largest[:, columns] * inside).max(axis=1), UNKNOWN)
    return found


def add(state: Rows, time: Ints, amount: Ints) -> None:
    """Count each transaction in its customer's current buckets, after emptying those that are too old."""
    current = time[:, None] // _SIZES
    if (current != state["log_time"][:, None] // _SIZES).any():
        old = _ages(state["log_time"], time) >= _SLOTS[_KIND]
        for field in ("bucket_counts", "bucket_sums", "bucket_largest", "bucket_largest_high"):
            np.copyto(state[field], 0, where=old)
    at = (np.arange(len(state))[:, None], _FIRST_COLUMNS + current % _SLOTS)
    state["bucket_counts"][at] += 1
    state["bucket_sums"][at] = np.minimum(state["bucket_sums"][at] + amount[:, None], SUM_MOST)
    largest = np.maximum(
        amounts_of(state["bucket_largest"][at], state["bucket_largest_high"][at]), amount[:, None]
    )
    state["bucket_largest"][at] = largest & LOW_BITS
    state["bucket_largest_high"][at] = largest >> 32


def _ages(last: NDArray[np.uint32], time: Ints) -> NDArray[np.int32]:
    """Return for each bucket column how many buckets before the current one (at `time`) it is; `last`: log times."""
    before, now = last[:, None] // _SIZES, time[:, None] // _SIZES
    ages: NDArray[np.int32] = (before % _SLOTS).astype(np.int32)[:, _KIND] - _SLOT.astype(np.int32)
    ages += (ages < 0) * _SLOTS.astype(np.int32)[_KIND]
    ages += (now - before).astype(np.int32)[:, _KIND]
    return ages
