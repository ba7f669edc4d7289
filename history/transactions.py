"""Transactions as columns, and the same as integers within bounds, which is what a history is made of."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

DAY = 86_400
#: Log time is kept in 32 bits: from 1970 to 2106. A clock before or behind is taken as the nearer end.
LOG_TIME_MOST = 2**32 - 1
#: Seconds either way that a client's clock is believed: differences must not overflow.
CLIENT_TIME_MOST = 2**40
#: Cents; a larger amount is taken as this, so that sums stay in int64.
AMOUNT_MOST = 2**40 - 1
DEGREES_MOST = 180
MICRO = 1_000_000

BANDS = 8  # of the solar day, 3 h each


@dataclass(frozen=True)
class Transactions:
    """Columns of a batch, one row per transaction, in the log's order. The ids are taken as they are."""

    customer_ids: Sequence[str]
    merchant_ids: Sequence[str]
    value_in_cents: Ints
    transaction_timestamp: Ints  # the client's clock, seconds since 1970
    event_timestamp: Ints  # the bff's clock, seconds since 1970
    latitude: Floats  # degrees
    longitude: Floats

    def __len__(self) -> int:
        return len(self.customer_ids)

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> Transactions:
        """Return the columns of records of transaction_created or transaction_status."""
        return cls(
            [record["customer_id"] for record in records],
            [record["merchant_id"] for record in records],
            np.array([record["value_in_cents"] for record in records], np.int64),
            np.array([record["transaction_timestamp"] for record in records], np.int64),
            np.array([record["event_timestamp"] for record in records], np.int64),
            np.array([record["latitude"] for record in records], np.float64),
            np.array([record["longitude"] for record in records], np.float64),
        )

    def rows(self, start: int, end: int) -> Transactions:
        """Return the rows from start to before end."""
        return Transactions(
            self.customer_ids[start:end],
            self.merchant_ids[start:end],
            self.value_in_cents[start:end],
            self.transaction_timestamp[start:end],
            self.event_timestamp[start:end],
            self.latitude[start:end],
            self.longitude[start:end],
        )


def day_of(seconds: int) -> int:
    """Return the day since 1970 of a time of the bff's clock; one before or behind what is kept is the nearer end."""
    return min(max(seconds, 0), LOG_TIME_MOST) // DAY


class Bounded:
    """The columns that a history keeps: int64, each within its bounds."""

    def __init__(self, columns: Ints):
        """`columns`: one row per attribute below."""
        self._columns = columns
        # Of the bff's clock, 0 to LOG_TIME_MOST; of the client's, +-CLIENT_TIME_MOST; cents, 0 to AMOUNT_MOST; 32 bits
        # of the merchant's id; micro-degrees, +-180,000,000; which eighth of the client's solar day, 0 to 7.
        self.time, self.client_time, self.amount, self.merchant = columns[:4]
        self.latitude, self.longitude, self.band = columns[4:]

    def __getitem__(self, chosen: Ints | slice) -> Bounded:
        return Bounded(self._columns[:, chosen])


def bounded(batch: Transactions) -> Bounded:
    """Return the batch within bounds; any int64 and any float is allowed. Columns of unlike length: ValueError."""
    columns = (batch.value_in_cents, batch.transaction_timestamp, batch.event_timestamp)
    lengths = {len(batch), len(batch.merchant_ids), len(batch.latitude), len(batch.longitude)}
    if lengths | {len(column) for column in columns} != {len(batch)}:
        raise ValueError("the columns of a batch have different lengths")
    client_time = _clipped(batch.transaction_timestamp, -CLIENT_TIME_MOST, CLIENT_TIME_MOST)
    longitude = micro_degrees(batch.longitude)
    hashes = {one: merchant_hash(one) for one in set(batch.merchant_ids)}
    return Bounded(
        np.array(
            [
                _clipped(batch.event_timestamp, 0, LOG_TIME_MOST),
                client_time,
                amounts(batch),
                np.array([hashes[one] for one in batch.merchant_ids], np.int64),
                micro_degrees(batch.latitude),
                longitude,
                solar_band(client_time, longitude),
            ]
        )
    )


def amounts(batch: Transactions) -> Ints:
    """Return the amounts in cents, 0 to AMOUNT_MOST."""
    return _clipped(batch.value_in_cents, 0, AMOUNT_MOST)


def merchant_hash(merchant_id: str) -> int:
    """Return 32 bits that stand for the merchant; any str has some, a lone surrogate too."""
    return zlib.crc32(merchant_id.encode("utf-8", "surrogatepass"))


def micro_degrees(degrees: Floats) -> Ints:
    """Return the nearest multiples of a millionth of a degree; beyond 180 is 180, and no number at all is 0."""
    numbers = np.where(np.isnan(degrees), 0.0, degrees)
    numbers = np.minimum(np.maximum(numbers, -DEGREES_MOST), DEGREES_MOST)
    nearest: Ints = np.rint(numbers * MICRO).astype(np.int64)
    return nearest


def solar_band(client_time: Ints, longitude: Ints) -> Ints:
    """Return which eighth of the day it is by the sun: UTC and 4 minutes per degree of longitude (micro-degrees)."""
    shift = (longitude * 240 + MICRO // 2) // MICRO
    band: Ints = (client_time + shift) % DAY // (DAY // BANDS)
    return band


def _clipped(column: Ints, least: int, most: int) -> Ints:
    # np.clip does the same, at five times the price for a batch of one
    clipped: Ints = np.minimum(np.maximum(np.asarray(column, np.int64), least), most)
    return clipped
