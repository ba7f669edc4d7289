"""What the network is fitted on and judged on: transactions with their history, and what they turned out to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from antifraud.inputs import inputs
from history.features import CUSTOMER_FEATURES, FEATURES, UNKNOWN

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
AT_ONCE = 20_000  # rows; bounds memory


@dataclass(frozen=True)
class Rows:
    """One array per column."""

    value_in_cents: Ints
    transaction_timestamp: Ints
    latitude: Floats
    longitude: Floats
    history: Ints  # rows x FEATURES
    fraud: Flags
    kind: Ints  # of fraud, 0 for none
    customer: Ints
    day: Ints  # since the simulation began

    def __len__(self) -> int:
        return len(self.fraud)

    def rows(self, chosen: Flags | Ints) -> Rows:
        """Return the chosen rows."""
        return Rows(*(column[chosen] for column in vars(self).values()))

    def feature(self, name: str) -> Ints:
        """Return one column of the history."""
        column: Ints = self.history[:, FEATURES.index(name)]
        return column

    def columns(self) -> tuple[Ints, Ints, Floats, Floats, Ints]:
        """Return what a model is given, in its order."""
        return (
            self.value_in_cents, self.transaction_timestamp, self.latitude, self.longitude, self.history,
        )  # fmt: skip

    def inputs(self) -> Floats:
        """Return rows x the network's inputs."""
        parts = [
            inputs(*(tf.constant(column[start : start + AT_ONCE]) for column in self.columns())).numpy()
            for start in range(0, len(self), AT_ONCE)
        ]
        return np.concatenate(parts)

    def without_merchants(self) -> Rows:
        """Return the rows as workers send them: of the merchants nothing is known."""
        history = self.history.copy()
        history[:, len(CUSTOMER_FEATURES) :] = UNKNOWN
        return Rows(**{**vars(self), "history": history})

    def without_history(self) -> Rows:
        """Return the rows as an old client sends them: nothing is known."""
        return Rows(**{**vars(self), "history": np.full_like(self.history, UNKNOWN)})


def together(parts: Sequence[Rows]) -> Rows:
    """Return the rows of all parts, one after the other."""
    return Rows(
        *(np.concatenate(columns) for columns in zip(*(vars(part).values() for part in parts), strict=True))
    )


def with_history_lost(rows: Rows, random: np.random.Generator, all_of_it: float, merchants: float) -> Rows:
    """Return the rows of which some, by chance, lost all their history and some what is known of the merchant."""
    chance, history = random.random(len(rows)), rows.history.copy()
    history[chance < all_of_it] = UNKNOWN
    history[(chance >= all_of_it) & (chance < all_of_it + merchants), len(CUSTOMER_FEATURES) :] = UNKNOWN
    return Rows(**{**vars(rows), "history": history})
