"""Where one input alone tells fraud best: thresholds that the network's first units begin with.

A small network draws a sharp step (a limit on an amount, a number of days) only slowly by itself; a tree finds it
at once. So some units begin as steps at the thresholds that a tree of one input would choose; from there on they
learn as all others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
LEAST = 10  # rows on each side of a threshold


def steps(
    inputs: Floats, fraud: NDArray[np.bool_] | Floats, weights: Floats, count: int
) -> list[tuple[int, float]]:
    """Return (input, threshold) of the `count` splits that lower the entropy most, at most three an input."""
    found = []
    for number, column in enumerate(inputs.T):
        order = np.argsort(column, kind="stable")
        value, bad, weight = column[order], (fraud * weights)[order], weights[order]
        parts = [(0, len(value))]
        for _ in range(2):  # the best split, then the best one on either side of it
            ends = []
            for start, end in parts:
                split = _best(value[start:end], bad[start:end], weight[start:end])
                if split:
                    found.append((split[0], number, split[1]))
                    ends += [(start, start + split[2]), (start + split[2], end)]
            parts = ends
    found.sort(reverse=True)
    return [(number, threshold) for _, number, threshold in found[:count]]


def _best(value: Floats, bad: Floats, weight: Floats) -> tuple[float, float, int] | None:
    """Return gain, threshold and row of the best split of rows in order of their value; None if there is none."""
    frauds, total = np.cumsum(bad), np.cumsum(weight)
    at = np.flatnonzero(value[1:] > value[:-1])
    at = at[(at >= LEAST - 1) & (at < len(value) - LEAST)]
    if not len(at) or frauds[-1] == 0:
        return None
    left = _entropy(frauds[at], total[at])
    right = _entropy(frauds[-1] - frauds[at], total[-1] - total[at])
    gain = _entropy(frauds[-1:], total[-1:])[0] - left - right
    best = int(np.argmax(gain))
    row = int(at[best]) + 1
    return float(gain[best]), float((value[row - 1] + value[row]) / 2), row


def _entropy(frauds: Floats, total: Floats) -> Floats:
    """Return rows x entropy of their frauds, in nats."""
    share = np.clip(frauds / total, 1e-12, 1 - 1e-12)
    entropy: Floats = -total * (share * np.log(share) + (1 - share) * np.log(1 - share))
    return entropy
