"""Count, sum and largest amount of longer windows, from buckets of log time: 4 hours for 24 h, days for 7 and 30 days.

A bucket's index is log time // its size. A window of W seconds at log time t has the buckets with an index of at least
t // size - W // size: the current one, as far as it has come, and the W // size before it, whole. So it reaches back
between W and W + size, as Chronon's "sawtooth" windows do. The bucket with index i is in slot i % slots; which index a
slot has follows from the customer's last log time, so it is not stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from history.features import UNKNOWN
from history.layout import DAYS, FOUR_HOURS, Rows, amounts_of
from history.transactions import DAY, Ints

#: Cents that a bucket's sum grows to at most: the sum of 31 of them is still an int64.
SUM_MOST = 2**57


@dataclass(frozen=True)
class Kind:
    """Buckets of one size, and the windows that are made of them."""

    seconds: int
    slots: int
    first: int  # of the row's bucket columns
    windows: dict[str, int]  # name -> whole buckets before the current one

    @property
    def columns(self) -> slice:
        """The row's bucket columns of this kind."""
        return slice(self.first, self.first + self.slots)


KINDS = (
    Kind(4 * 3_600, FOUR_HOURS, 0, {"24h": FOUR_HOURS - 1}),
    Kind(DAY, DAYS, FOUR_HOURS, {"7d": 7, "30d": DAYS - 1}),
)


def ages(kind: Kind, state: Rows, time: Ints) -> Ints:
    """Return for each slot how many buckets before the current one (at `time`) the slot's bucket is."""
    last, now = state["log_time"] // kind.seconds, time // kind.seconds
    behind: Ints = (last % kind.slots).astype(np.int64)[:, None] - np.arange(kind.slots)
    behind += kind.slots * (behind < 0)
    behind += (now - last)[:, None]
    return behind


def features(kind: Kind, state: Rows, behind: Ints) -> dict[str, Ints]:
    """Return the features of this kind's windows, by name; `behind` is what `ages` returned."""
    counts, sums = state["bucket_counts"][:, kind.columns], state["bucket_sums"][:, kind.columns]
    largest = amounts_of(
        state["bucket_largest"][:, kind.columns], state["bucket_largest_high"][:, kind.columns]
    )
    found = {}
    for name, most in kind.windows.items():
        inside = behind <= most
        count = (counts * inside).sum(axis=1, dtype=np.int64)
        found[f"count_{name}"] = count
        found[f"sum_{name}"] = (sums * inside).sum(axis=1)
        found[f"largest_{name}"] = np.where(count > 0, (largest * inside).max(axis=1), UNKNOWN)
    return found


def add(kind: Kind, state: Rows, behind: Ints, time: Ints, amount: Ints) -> None:
    """Count each transaction in its customer's current bucket, after emptying those that are too old."""
    old = behind >= kind.slots
    if old.any():
        for field in ("bucket_counts", "bucket_sums", "bucket_largest", "bucket_largest_high"):
            np.copyto(state[field][:, kind.columns], 0, where=old)
    each, slot = np.arange(len(state)), kind.first + time // kind.seconds % kind.slots
    state["bucket_counts"][each, slot] += 1
    state["bucket_sums"][each, slot] = np.minimum(state["bucket_sums"][each, slot] + amount, SUM_MOST)
    largest = amounts_of(state["bucket_largest"][each, slot], state["bucket_largest_high"][each, slot])
    largest = np.maximum(largest, amount)
    state["bucket_largest"][each, slot] = largest & 0xFFFFFFFF
    state["bucket_largest_high"][each, slot] = largest >> 32
