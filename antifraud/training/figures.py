"""Figures of a ranking: card precision, calibration, and what a threshold costs; beside antifraud.evaluation's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def card_precision(day: Ints, card: Ints, fraud: Flags, score: Floats, top: int = 100) -> float:
    """Return the share of compromised cards among each day's `top` cards by highest score, averaged over days.

    A card that was found on one day is blocked and does not count on later ones.
    """
    found: set[int] = set()
    shares = []
    for today in np.unique(day):
        rows = (day == today) & ~np.isin(card, list(found))
        cards, place = np.unique(card[rows], return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, place, score[rows])
        compromised = np.bincount(place, weights=fraud[rows], minlength=len(cards)) > 0
        chosen = np.argsort(-highest, kind="stable")[:top]
        shares.append(compromised[chosen].sum() / top)
        found |= set(cards[chosen][compromised[chosen]].tolist())
    return float(np.mean(shares))


def calibration_error(fraud: Flags, probability: Floats, bins: int = 20) -> float:
    """Return the expected calibration error: |observed - predicted| over equally wide bins, weighted by rows."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    rows = np.bincount(place, minlength=bins)
    difference = np.bincount(place, weights=fraud - probability, minlength=bins)
    return float(np.abs(difference)[rows > 0].sum() / len(fraud))
