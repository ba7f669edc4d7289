"""Simulated transactions whose fraud is known, from a seed: what the model is trained and judged on.

The story: merchants and customers live around a few usual areas. Fraud is likely where several things meet:
far from these areas at night, a large amount far away, a tiny amount at night (a stolen card tried out);
far away on a weekend is a holiday. No single field is enough. Half of the rows look like daily life (amounts
log-normal, most of them near home and by day), half are spread over the whole range a load generator sends.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

USUAL_AREAS = np.array([(-23.5, -46.6), (-8.0, -35.0), (40.0, -4.0), (8.0, 6.0), (50.0, 10.0), (20.0, 75.0)])
AREA_RADIUS = 14.0  # degrees beyond which a place counts as far
DAY = 86_400
FIRST_SECOND, LAST_SECOND = 1_224_409_756, 1_624_079_756  # of the generator's traffic
LARGEST_CENTS = 1_345_454_553
HOURLY_TRADE = np.array([2, 1, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 12, 11, 9, 9, 9, 10, 11, 12, 11, 8, 5, 3])


@dataclass(frozen=True)
class Columns:
    """The four fields of an assessment, one array per field."""

    value_in_cents: Ints
    transaction_timestamp: Ints
    latitude: Floats
    longitude: Floats

    def all(self) -> tuple[Ints, Ints, Floats, Floats]:
        """Return the fields in the order of the assessment."""
        return self.value_in_cents, self.transaction_timestamp, self.latitude, self.longitude

    def rows(self, chosen: slice) -> Columns:
        """Return the chosen rows."""
        value, timestamp, latitude, longitude = self.all()
        return Columns(value[chosen], timestamp[chosen], latitude[chosen], longitude[chosen])


def simulate(rows: int, seed: int) -> tuple[Columns, NDArray[np.bool_]]:
    """Return transactions and, for each, whether it is good."""
    random = np.random.default_rng(seed)
    daily, wide = _daily_life(rows // 2, random), generator_traffic(rows - rows // 2, random)
    order = random.permutation(rows)
    columns = Columns(*(np.concatenate(both)[order] for both in zip(daily.all(), wide.all(), strict=True)))
    return columns, random.random(rows) >= fraud_probability(columns)


def generator_traffic(rows: int, random: np.random.Generator) -> Columns:
    """Return what the load generator sends: each field independently, over its whole range."""
    return Columns(
        random.integers(50, LARGEST_CENTS, rows, endpoint=True),
        random.integers(FIRST_SECOND, LAST_SECOND, rows, endpoint=True),
        random.integers(1, 100, rows, endpoint=True) * random.random(rows),
        random.integers(1, 100, rows, endpoint=True) * random.random(rows),
    )


def _daily_life(rows: int, random: np.random.Generator) -> Columns:
    value = np.clip(random.lognormal(np.log(8_000), 1.9, rows), 1, 3e9).astype(np.int64)
    home = USUAL_AREAS[random.integers(0, len(USUAL_AREAS), rows)] + random.normal(0, 4, (rows, 2))
    anywhere = np.column_stack([random.uniform(-60, 75, rows), random.uniform(-180, 180, rows)])
    place = np.where(random.random((rows, 1)) < 0.6, home, anywhere)
    local_hour = random.choice(24, rows, p=HOURLY_TRADE / HOURLY_TRADE.sum()) + random.random(rows)
    day = random.integers(FIRST_SECOND // DAY, 2_000_000_000 // DAY, rows)
    timestamp = (day * DAY + local_hour * 3_600 - place[:, 1] * 240).astype(np.int64)
    return Columns(value, timestamp, np.clip(place[:, 0], -90, 90), np.clip(place[:, 1], -180, 180))


def fraud_probability(columns: Columns) -> Floats:
    """Return each transaction's true probability of fraud: the story in numbers, unknown to the model."""
    # Clocks follow the sun: four minutes per degree of longitude.
    local = columns.transaction_timestamp + columns.longitude * 240
    night = (1 + np.cos((local % DAY / 3_600 - 3) / 24 * 2 * np.pi)) / 2
    weekend = np.isin((local // DAY + 4) % 7, (0, 6))  # 1 January 1970 was a Thursday
    places = np.column_stack([columns.latitude, columns.longitude])
    distance = np.sqrt(((places[:, None, :] - USUAL_AREAS) ** 2).sum(axis=2)).min(axis=1)
    far = 1 - np.exp(-((distance / AREA_RADIUS) ** 2))
    amount = np.log(np.maximum(columns.value_in_cents, 1))
    large = np.clip((amount - np.log(100_000)) / 9, 0, 1.2)
    tiny = np.clip((np.log(1_500) - amount) / 2, 0, 1)
    risk = -3.8 + 6.5 * far * night + 1.2 * far * large - 5 * far * weekend + 6 * tiny * night
    chance: Floats = 1 / (1 + np.exp(-risk))
    return chance
