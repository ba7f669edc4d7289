"""From the four raw columns to the network's inputs, in numbers that add up exactly.

Every input is a small multiple of STEP, and so is every weight: then each product and each sum of the
network is exact in a double, and neither order of addition nor vector width nor batch size can change it by
a bit. For the same reason curves (hour of the day, logarithm, sigmoid) are tables or piecewise linear.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

STEP = 2.0**-12
NAMES = ("amount", "hour_sin", "hour_cos", "weekend", "latitude", "longitude")
LARGEST = 8.0  # the largest absolute input; the proof that the network is exact starts here

_WEEK = 7 * 86_400
_POWERS = 2 ** np.arange(63, dtype=np.int64)


def rounded(x: tf.Tensor) -> tf.Tensor:
    """Return x rounded to the nearest multiple of STEP."""
    return tf.round(x / STEP) * STEP


def in_steps(numbers: ArrayLike) -> NDArray[np.int64]:
    """Return the nearest multiples of STEP, as how many STEPs they are."""
    return np.round(np.asarray(numbers, np.float64) / STEP).astype(np.int64)


def features(
    value_in_cents: tf.Tensor, transaction_timestamp: tf.Tensor, latitude: tf.Tensor, longitude: tf.Tensor
) -> tf.Tensor:
    """Return one row of inputs per transaction; any finite input is allowed, extreme values are clipped."""
    latitude, longitude = tf.clip_by_value(latitude, -100, 100), tf.clip_by_value(longitude, -180, 180)
    hour_and_weekend = calendar(transaction_timestamp, longitude)
    columns = [(_log2(value_in_cents) - 18) / 8, *hour_and_weekend, latitude / 32, longitude / 64]
    return rounded(tf.stack(columns, axis=1))


def calendar(timestamp: tf.Tensor, longitude: tf.Tensor) -> list[tf.Tensor]:
    """Return the solar hour as sine and cosine, and whether it is weekend; longitude within 180 degrees."""
    minute = _local_minute_of_week(timestamp, longitude)
    columns: list[tf.Tensor] = tf.unstack(tf.gather(tf.constant(_calendar()), minute), axis=1)
    return columns


def _log2(value: tf.Tensor) -> tf.Tensor:
    """Return the logarithm, linear between powers of two; below 1 it is that of 1."""
    value = tf.maximum(value, 1)
    power = tf.searchsorted(_POWERS, value, side="right") - 1
    start = tf.gather(_POWERS, power)
    return tf.cast(power, tf.float64) + tf.cast(value - start, tf.float64) / tf.cast(start, tf.float64)


def _local_minute_of_week(timestamp: tf.Tensor, longitude: tf.Tensor) -> tf.Tensor:
    """Return minutes since Thursday 0:00 in solar time: four minutes per degree of longitude."""
    shift = tf.cast(tf.round(longitude * 240), tf.int64)
    # The week first, then the shift, so that the ends of int64 do not overflow.
    return tf.math.floormod(tf.math.floormod(timestamp, _WEEK) + shift, _WEEK) // 60


def _calendar() -> np.ndarray:
    """Return, for each minute of a week, the hour as a point on a circle and whether it is weekend."""
    minutes = np.arange(_WEEK // 60)
    angle = minutes % 1_440 / 1_440 * 2 * np.pi
    weekend = np.isin(minutes // 1_440, (2, 3))  # 1 January 1970 was a Thursday
    return np.column_stack([np.sin(angle), np.cos(angle), weekend])
