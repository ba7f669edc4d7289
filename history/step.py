"""What one transaction is to its customer's row: its features from the row before it, and the row after it."""

from __future__ import annotations

import numpy as np

from history import buckets, recent
from history.features import CUSTOMER_FEATURES, UNKNOWN
from history.layout import Rows
from history.places import distance_m
from history.transactions import Bounded, Ints

KNOWN_MOST = 1_000_000  # transactions
SPEED_MOST = 100_000  # km/h


def features(state: Rows, given: Bounded) -> Ints:
    """Return rows x CUSTOMER_FEATURES; `state` is each transaction's customer before it."""
    time = log_time(state, given)
    found = (
        recent.features(state, time, given) | buckets.features(state, time) | _since_last(state, time, given)
    )
    columns = np.empty((len(state), len(CUSTOMER_FEATURES)), np.int64)
    for at, name in enumerate(CUSTOMER_FEATURES):
        columns[:, at] = found[name]
    return columns


def add(state: Rows, given: Bounded) -> None:
    """Bring the customers' rows up to date in place: row i with transaction i; no customer may be there twice."""
    time = log_time(state, given)
    recent.add(state, time, given)
    buckets.add(state, time, given.amount)
    state["count"] += 1
    state["log_time"], state["client_time"] = time, given.client_time
    state["latitude"], state["longitude"] = given.latitude, given.longitude
    state["bands"][np.arange(len(state)), given.band] += 1


def log_time(state: Rows, given: Bounded) -> Ints:
    """Return the transactions' log times: monotone for a customer, whatever the clocks say."""
    time: Ints = np.maximum(given.time, state["log_time"])
    return time


def _since_last(state: Rows, time: Ints, given: Bounded) -> dict[str, Ints]:
    count = state["count"]
    some = count > 0
    metres = distance_m(state["latitude"], state["longitude"], given.latitude, given.longitude)
    between = np.maximum(given.client_time - state["client_time"], 0)
    speed = np.minimum(metres * 3_600 // (np.maximum(between, 1) * 1_000), SPEED_MOST)
    same_band = state["bands"][np.arange(len(state)), given.band].astype(np.int64)
    return {
        "known": np.minimum(count, KNOWN_MOST),
        "seconds_since_last": np.where(some, time - state["log_time"], UNKNOWN),
        "distance_km": np.where(some, metres // 1_000, UNKNOWN),
        "seconds_between": np.where(some, between, UNKNOWN),
        "speed_kmh": np.where(some, speed, UNKNOWN),
        "habit_permille": np.where(some, same_band * 1_000 // np.maximum(count, 1), UNKNOWN),
    }
