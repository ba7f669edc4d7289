"""Purchases as columns, in order of time; each says whether it is fraud and of which kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY = 86_400
EPOCH = 1_609_718_400  # 2021-01-04, UTC: the world's first second, on a Monday (habits.WEEKDAYS)
KINDS = (
    "genuine",
    "card testing",
    "account takeover",
    "impossible travel",
    "compromised merchant",
    "slow fraud",
)
TESTING, TAKEOVER, TRAVEL, MERCHANT, SLOW = range(1, len(KINDS))


@dataclass(frozen=True)
class Purchases:
    """One array per field, one row a purchase."""

    customer: Ints  # a row of the world's customers
    merchant: Ints  # a row of the world's merchants
    cents: Ints
    second: Ints  # since the world began, UTC
    latitude: Floats
    longitude: Floats
    kind: Ints  # an index of KINDS: what a label will say, unknown to a judge before known_at
    known_at: (
        Ints  # second at which a fraud is reported; for a genuine purchase, when it can be taken as such
    )

    def __len__(self) -> int:
        return len(self.customer)

    @property
    def fraud(self) -> Flags:
        """Whether it is fraud."""
        return self.kind > 0

    @property
    def day(self) -> Ints:
        """Days since the world began."""
        return self.second // DAY

    def rows(self, chosen: Flags | Ints | slice) -> Purchases:
        """Return the chosen rows."""
        return Purchases(*(column[chosen] for column in vars(self).values()))

    def in_order(self) -> Purchases:
        """Return the rows in order of time."""
        return self.rows(np.argsort(self.second, kind="stable"))


def together(parts: Sequence[Purchases]) -> Purchases:
    """Return the rows of all parts, one after the other."""
    return Purchases(
        *(np.concatenate(columns) for columns in zip(*(vars(p).values() for p in parts), strict=True))
    )
