"""Does the world still look as in training? The population stability index of each input and of the score.

PSI is the sum over bins of (share now - share then) * log(share now / share then); by convention below 0.1 nothing has
changed, above 0.25 much has. Shares then are those of the hours of day that the transactions are of.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from antifraud.distribution import HOURS, SCORE, Distribution, Floats, Ints, hours_of

#: Transactions: fewer than LEAST say nothing, the newest MOST are looked at, in parts that are forgotten one by one.
LEAST, MOST, PARTS = 1_000, 2_000, 8
KEPT = 86_400.0  # seconds after which a part is forgotten even if nothing newer has come
#: Of one call; evenly spread over it. More would cost time and say no more.
MOST_OF_A_CALL = 128
#: Of training; rarer is taken as this, so that one transaction in a bin that was empty is no change.
LEAST_SHARE = 1e-4


class Part:
    """Some transactions in a row, counted."""

    def __init__(self, width: tuple[int, int]) -> None:
        self.rows = 0
        self.reach = np.zeros(width, np.int64)  # transactions from each edge on, edges x inputs
        self.hours = np.zeros(HOURS, np.int64)
        self.newest = 0.0


class Window:
    """The newest transactions of one model beside those of its training. Bounded memory; not for several threads."""

    def __init__(
        self, then: Distribution, names: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`names` are those of the inputs that `count` is given; one that is missing is a ValueError."""
        self._names, order = [bins.name for bins in then.bins], [*names, SCORE]
        if missing := set(self._names) - set(order):
            raise ValueError(f"{then.model_version} has no inputs {', '.join(sorted(missing))}")
        self._columns = np.array([order.index(name) for name in self._names])
        deepest = max(len(bins.edges) for bins in then.bins)
        self._edges = np.full((deepest, len(then.bins)), np.inf)  # no value reaches infinity
        self._then = np.zeros((HOURS, deepest + 1, len(then.bins)))
        for at, bins in enumerate(then.bins):
            self._edges[: len(bins.edges), at] = bins.edges
            self._then[:, : len(bins.edges) + 1, at] = _shares(bins.rows)
        self._clock = clock
        self._parts: deque[Part] = deque([Part(self._edges.shape)], maxlen=PARTS)

    def count(self, inputs: Floats, scores: Floats, timestamps: Ints) -> None:
        """Count the transactions of a call: rows x names, and each one's score and time."""
        step = -(-len(scores) // MOST_OF_A_CALL)
        values = np.column_stack([inputs[::step], scores[::step]])[:, self._columns]
        part = self._parts[-1]
        if part.rows * PARTS >= MOST:
            self._parts.append(part := Part(self._edges.shape))
        reached = (values[:, None] >= self._edges).view(np.uint8)
        part.reach += np.add.reduce(reached, axis=0, dtype=np.int64)
        part.hours += np.bincount(hours_of(timestamps[::step]), minlength=HOURS)
        part.rows += len(values)
        part.newest = self._clock()

    @property
    def rows(self) -> int:
        """How many transactions are looked at."""
        return sum(part.rows for part in self._kept())

    def psi(self) -> dict[str, float]:
        """Return the index of each input that is compared and of the score; of fewer than LEAST rows none."""
        parts = self._kept()
        rows = sum(part.rows for part in parts)
        if rows < LEAST:
            return {}
        reach = np.sum([part.reach for part in parts], axis=0)
        everything, nothing = np.full((1, reach.shape[1]), rows), np.zeros((1, reach.shape[1]), np.int64)
        now = -np.diff(np.concatenate([everything, reach, nothing]), axis=0) / rows
        hours = np.sum([part.hours for part in parts], axis=0) / rows
        return dict(zip(self._names, _psi(now, np.tensordot(hours, self._then, 1), rows), strict=True))

    def _kept(self) -> list[Part]:
        oldest = self._clock() - KEPT
        return [part for part in self._parts if part.rows and part.newest > oldest]


def _psi(now: Floats, then: Floats, rows: int) -> list[float]:
    """Return the index of each column of bins x inputs; a bin that neither has adds nothing."""
    there = (now > 0) | (then > 0)
    now, then = np.maximum(now, 0.5 / rows), np.maximum(then, LEAST_SHARE)
    found: list[float] = np.where(there, (now - then) * np.log(now / then), 0.0).sum(axis=0).tolist()
    return found


def _shares(rows: Ints) -> Floats:
    """Return each hour's shares of the bins; an hour without rows has those of the whole day."""
    by_hour, whole = rows.sum(axis=1, keepdims=True), rows.sum(axis=0) / rows.sum()
    shares: Floats = np.where(by_hour > 0, rows / np.maximum(by_hour, 1), whole)
    return shares
