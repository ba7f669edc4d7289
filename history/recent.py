"""The last 32 transactions, one by one: exact windows up to an hour, median, spread, merchants.

A transaction is inside a window of W seconds if its log time is above t - W, t being the log time of the one that is
assessed. With more than 32 in a window only the last 32 are seen: `saturated` says that this may be.
"""

from __future__ import annotations

import numpy as np

from history.features import UNKNOWN
from history.layout import RECENT, Rows, amounts_of
from history.transactions import Bounded, Ints

WINDOWS = {"1m": 60, "10m": 600, "1h": 3_600}  # seconds
SMALL = 500  # cents: an amount below it may be a stolen card tried out

_SLOTS = np.arange(RECENT)
_BEYOND = np.int64(2**62)  # older and larger than anything


def features(state: Rows, time: Ints, given: Bounded) -> dict[str, Ints]:
    """Return the features from the last 32, by name; one row per transaction, each of another customer."""
    known = np.minimum(state["count"], RECENT)
    filled = known[:, None] > _SLOTS
    amounts = amounts_of(state["recent_amounts"], state["recent_amounts_high"])  # 0 where not filled
    found = _windows(amounts, np.where(filled, time[:, None] - state["recent_times"], _BEYOND))
    found["saturated"] = (found["count_1h"] == RECENT).astype(np.int64)

    some, divisor = known > 0, np.maximum(known, 1)
    ordered = np.sort(np.where(filled, amounts, _BEYOND), axis=1)
    median = np.take_along_axis(ordered, (divisor - 1)[:, None] // 2, axis=1)[:, 0]
    mean = amounts.sum(axis=1) // divisor
    spread = (np.abs(amounts - mean[:, None]) * filled).sum(axis=1) // divisor
    small = np.count_nonzero(filled & (amounts < SMALL), axis=1) * 1000 // divisor
    merchants = state["recent_merchants"]
    seen = (filled & (merchants == given.merchant[:, None])).any(axis=1)
    found["merchants"] = np.where(some, _different(np.where(filled, merchants, merchants[:, :1])), 0)
    found["median"] = np.where(some, median, UNKNOWN)
    found["spread"] = np.where(some, spread, UNKNOWN)
    found["small_permille"] = np.where(some, small, UNKNOWN)
    found["new_merchant"] = np.where(some, ~seen, UNKNOWN)
    return found


def _windows(amounts: Ints, ages: Ints) -> dict[str, Ints]:
    found = {}
    for name, seconds in WINDOWS.items():
        inside = ages < seconds
        count, kept = np.count_nonzero(inside, axis=1), amounts * inside
        found[f"count_{name}"] = count
        found[f"sum_{name}"] = kept.sum(axis=1)
        found[f"largest_{name}"] = np.where(count > 0, kept.max(axis=1), UNKNOWN)
    return found


def _different(values: Ints) -> Ints:
    """Return how many different values each row has."""
    ordered = np.sort(values, axis=1)
    different: Ints = 1 + np.count_nonzero(ordered[:, 1:] != ordered[:, :-1], axis=1)
    return different


def add(state: Rows, time: Ints, given: Bounded) -> None:
    """Put each transaction into its customer's row; before `count` is raised."""
    each, slot = np.arange(len(state)), state["count"] % RECENT
    state["recent_times"][each, slot] = time
    state["recent_merchants"][each, slot] = given.merchant
    state["recent_amounts"][each, slot] = given.amount & 0xFFFFFFFF
    state["recent_amounts_high"][each, slot] = given.amount >> 32
