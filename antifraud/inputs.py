"""From a transaction and its history to the network's inputs, in numbers that add up exactly (see features.py).

A history is rows x history.FEATURES, int64; -1 says that a value is unknown. Amounts, counts and times enter as
logarithms, so that a ratio is a difference. An input whose value is unknown is 0, and a flag of its own says so.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from antifraud.features import calendar, rounded
from history.features import FEATURES, UNKNOWN

LARGEST = 8.0  # the largest absolute input; the proof that the network is exact starts here
AMOUNT_MOST = 2**40 - 1  # cents, as in a history

#: What is derived from a history and the amount, in integers.
DERIVED = ("zero", "amount", "mean", "spent_10m", "spent_1h", "spent_24h", "spent_7d")
COLUMNS = FEATURES + DERIVED


class Ratio(NamedTuple):
    """An input (log2(of + 1) - log2(by + 1) - middle) / scale, columns of COLUMNS."""

    name: str
    of: str
    by: str = "zero"
    middle: float = 0
    scale: float = 1


class Number(NamedTuple):
    """An input min(of, most) / scale."""

    of: str
    most: int
    scale: float


_WINDOWS = ("1m", "10m", "1h", "24h", "7d", "30d")
RATIOS = (
    Ratio("amount", "amount", middle=13, scale=4),
    Ratio("known", "known", scale=4),
    *(Ratio(f"count_{window}", f"count_{window}", scale=2) for window in _WINDOWS),
    Ratio("merchants", "merchants", scale=2),
    *(Ratio(f"{spent}_by_mean", spent, "mean", scale=2) for spent in DERIVED[3:]),
    *(Ratio(f"largest_{w}_by_median", f"largest_{w}", "median") for w in ("1h", "24h", "7d", "30d")),
    Ratio("amount_by_mean", "amount", "mean"),
    Ratio("amount_by_median", "amount", "median"),
    Ratio("amount_by_largest", "amount", "largest_30d"),
    Ratio("median", "median", middle=13, scale=4),
    Ratio("spread_by_median", "spread", "median"),
    Ratio("seconds_since_last", "seconds_since_last", middle=16, scale=4),
    Ratio("seconds_between", "seconds_between", middle=16, scale=4),
    Ratio("distance", "distance_km", scale=4),
    Ratio("speed", "speed_kmh", scale=4),
    *(
        Ratio(f"merchant_count_{window}", f"merchant_count_{window}", scale=2)
        for window in ("1d", "7d", "30d")
    ),
    Ratio("merchant_customers", "merchant_customers", scale=4),
    Ratio("amount_by_merchant_mean", "amount", "merchant_mean"),
    Ratio("merchant_frauds", "merchant_frauds", scale=2),
)
_FRAUD_SHARES = tuple(f"merchant_fraud_permille_{window}" for window in ("1d", "7d", "30d"))
NUMBERS = (
    Number("new_merchant", 1, 1),
    Number("saturated", 1, 1),
    Number("small_permille", 1_000, 512),
    Number("habit_permille", 1_000, 512),
    *(Number(share, 1_000, 512) for share in _FRAUD_SHARES),
    Number("merchant_days_since_first_fraud", 64, 16),
    Number("merchant_days_since_last_fraud", 64, 16),
)
#: Columns with a flag that says that they are unknown.
FLAGS = (
    "known", "median", "mean", "merchant_count_30d", "merchant_mean", "merchant_days_since_first_fraud", *_FRAUD_SHARES,
)  # fmt: skip
NAMES = (
    *(ratio.name for ratio in RATIOS),
    *(number.of for number in NUMBERS),
    *(f"{column}_unknown" for column in FLAGS),
    "deviation", "hour_sin", "hour_cos", "weekend", "latitude", "longitude",
)  # fmt: skip


def unknown_history(rows: int) -> Any:
    """Return the history of transactions of which nothing is known but themselves."""
    return np.full((rows, len(FEATURES)), UNKNOWN, np.int64)


def inputs(
    value: tf.Tensor, timestamp: tf.Tensor, latitude: tf.Tensor, longitude: tf.Tensor, history: tf.Tensor
) -> tf.Tensor:
    """Return rows x NAMES; any int64 and any finite float is allowed, extreme values are clipped."""
    latitude, longitude = tf.clip_by_value(latitude, -100, 100), tf.clip_by_value(longitude, -180, 180)
    columns = _columns(tf.clip_by_value(value, 1, AMOUNT_MOST), tf.maximum(history, UNKNOWN))
    known = columns >= 0
    place = tf.stack(
        [_deviation(columns), *calendar(timestamp, longitude), latitude / 32, longitude / 64], axis=1
    )
    flags = tf.cast(~_chosen(known, FLAGS), tf.float64)
    found = tf.concat([_ratios(columns, known), _numbers(columns, known), flags, place], axis=1)
    return rounded(tf.clip_by_value(found, -LARGEST, LARGEST))


def _columns(value: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
    """Return rows x COLUMNS in cents, counts and seconds; sums stay within int64 whatever a caller sends."""
    history = tf.minimum(history, 2**61)
    raw = dict(zip(FEATURES, tf.unstack(history, axis=1), strict=True))
    mean = tf.where(raw["count_30d"] > 0, raw["sum_30d"] // tf.maximum(raw["count_30d"], 1), UNKNOWN)
    spent = [tf.where(raw["known"] >= 0, raw[f"sum_{name[6:]}"] + value, UNKNOWN) for name in DERIVED[3:]]
    return tf.concat([history, tf.stack([tf.zeros_like(value), value, mean, *spent], axis=1)], axis=1)


def _chosen(columns: tf.Tensor, names: Any) -> tf.Tensor:
    return tf.gather(columns, [COLUMNS.index(name) for name in names], axis=1)


def _ratios(columns: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    logs, of, by = _log2(columns + 1), [ratio.of for ratio in RATIOS], [ratio.by for ratio in RATIOS]
    middle = np.array([ratio.middle for ratio in RATIOS], np.float64)
    scale = np.array([ratio.scale for ratio in RATIOS], np.float64)
    found = (_chosen(logs, of) - _chosen(logs, by) - middle) / scale
    return tf.where(_chosen(known, of) & _chosen(known, by), found, tf.zeros_like(found))


def _numbers(columns: tf.Tensor, known: tf.Tensor) -> tf.Tensor:
    names = [number.of for number in NUMBERS]
    most = np.array([number.most for number in NUMBERS], np.int64)
    scale = np.array([number.scale for number in NUMBERS], np.float64)
    found = tf.cast(tf.minimum(_chosen(columns, names), most), tf.float64) / scale
    return tf.where(_chosen(known, names), found, tf.zeros_like(found))


def _deviation(columns: tf.Tensor) -> tf.Tensor:
    """Return how many halves of its spread an amount is from the mean: in sixteenths, by whole numbers."""
    amount, mean, spread = tf.unstack(_chosen(columns, ("amount", "mean", "spread")), axis=1)
    sixteenths = (amount - tf.minimum(mean, AMOUNT_MOST)) * 16 // tf.clip_by_value(spread, 1, AMOUNT_MOST)
    found = tf.cast(sixteenths, tf.float64) / 32
    return tf.where((mean >= 0) & (spread >= 0), found, tf.zeros_like(found))


def _log2(whole: tf.Tensor) -> tf.Tensor:
    """Return the logarithm, linear between powers of two; below 1 it is that of 1.

    The bits of a double, read as an integer, are its exponent and behind it the fraction: just that.
    """
    bits = tf.bitcast(tf.cast(tf.maximum(whole, 1), tf.float64), tf.int64)
    return tf.cast(bits, tf.float64) / 2**52 - 1_023
