"""The last 32 transactions, one by one: exact windows up to an hour, median, spread, merchants.

A transaction is inside a window of W seconds if its log time is above t - W, t being the log time of the one that is
assessed. With more than 32 in a window only the last 32 are seen: `saturated` says that this may be.
"""

from __future__ import annotations

import numpy as np

from history.features import UNKNOWN
from history.layout import LOW_BITS, RECENT, Rows, amounts_of
from history.transactions import Bounded, Ints

WINDOWS = {"1m": 60, "10m": 600, "1h": 3_600}  # seconds
SMALL = 500  # cents: an amount below it may be a stolen card tried out

_SLOTS = np.arange(RECENT)
_BEYOND_BIT = 62  # an empty slot has this bit: it is older, or larger, than anything


def features(state: Rows, time: Ints, given: Bounded) -> dict[str, Ints]:
    """Return the features from the last 32, by name; `state` is each transaction's customer before it."""
    known = np.minimum(state["count"], RECENT)
    filled = known[:, None] > _SLOTS
    # Masks are numbers here: np.where is several times slower where they are irregular.
    beyond = (~filled).astype(np.int64) << _BEYOND_BIT
    amounts = amounts_of(state["recent_amounts"], state["recent_amounts_high"])  # 0 where not filled
    found = _windows(amounts, (time[:, None] - state["recent_times"]) | beyond)
    found["saturated"] = (found["count_1h"] == RECENT).astype(np.int64)

    some, divisor = known > 0, np.maximum(known, 1)
    ordered = np.sort(amounts | beyond, axis=1)
    median = ordered[np.arange(len(ordered)), (divisor - 1) // 2]
    mean = (amounts.sum(axis=1) // divisor)[:, None]
    deviations = (np.maximum(amounts, mean) - np.minimum(amounts, mean)) * filled
    small = np.count_nonzero((amounts < SMALL) & filled, axis=1)
    merchants = state["recent_merchants"]
    seen = ((merchants == given.merchant[:, None]) & filled).any(axis=1)
    found["merchants"] = _different(merchants * filled + merchants[:, :1] * ~filled) * some
    found["median"] = np.where(some, median, UNKNOWN)
    found["spread"] = np.where(some, deviations.sum(axis=1) // divisor, UNKNOWN)
    found["small_permille"] = np.where(some, small * 1_000 // divisor, UNKNOWN)
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
    """Put each transaction into its customer's row, all different; before `count` is raised."""
    each, slot = np.arange(len(state)), state["count"] % RECENT
    state["recent_times"][each, slot] = time
    state["recent_merchants"][each, slot] = given.merchant
    state["recent_amounts"][each, slot] = given.amount & LOW_BITS
    state["recent_amounts_high"][each, slot] = given.amount >> 32
