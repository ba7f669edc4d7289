"""One transaction for each of some customers: its features from the state before it, then the state with it."""

from __future__ import annotations

import numpy as np

from history import buckets, recent
from history.features import CUSTOMER_FEATURES, UNKNOWN
from history.layout import Rows
from history.places import distance_m
from history.transactions import Bounded, Ints

KNOWN_MOST = 1_000_000  # transactions
SPEED_MOST = 100_000  # km/h


def step(state: Rows, given: Bounded) -> Ints:
    """Return rows x CUSTOMER_FEATURES and bring the state up to date in place; row i is customer i's, all different."""
    time = np.maximum(given.time, state["log_time"])  # monotone for a customer, whatever the clocks say
    behind = [buckets.ages(kind, state, time) for kind in buckets.KINDS]

    found = recent.features(state, time, given)
    for kind, ages in zip(buckets.KINDS, behind, strict=True):
        found |= buckets.features(kind, state, ages)
    found |= _since_last(state, time, given)
    features = np.empty((len(state), len(CUSTOMER_FEATURES)), np.int64)
    for column, name in enumerate(CUSTOMER_FEATURES):
        features[:, column] = found[name]

    recent.add(state, time, given)
    for kind, ages in zip(buckets.KINDS, behind, strict=True):
        buckets.add(kind, state, ages, time, given.amount)
    _set_last(state, time, given)
    return features


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


def _set_last(state: Rows, time: Ints, given: Bounded) -> None:
    state["count"] += 1
    state["log_time"], state["client_time"] = time, given.client_time
    state["latitude"], state["longitude"] = given.latitude, given.longitude
    state["bands"][np.arange(len(state)), given.band] += 1
