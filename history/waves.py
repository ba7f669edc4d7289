"""A batch in waves: the first transaction of each customer, then the second of each, and so on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from history.transactions import Ints

MOST = 1_024  # transactions at once: what one works on stays in the processor's cache


def waves(rows: Ints) -> Iterator[Ints]:
    """Yield positions in the batch, no customer twice in a wave, each customer's in the batch's order.

    `rows`: each transaction's customer.
    """
    total = len(rows)
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    if len(starts) == total:
        yield from _parts(order)
        return
    occurrence = np.arange(total) - np.repeat(starts, np.diff(starts, append=total))
    by_occurrence = order[np.argsort(occurrence, kind="stable")]
    for wave in np.split(by_occurrence, np.cumsum(np.bincount(occurrence))[:-1]):
        yield from _parts(wave)


def _parts(wave: Ints) -> Iterator[Ints]:
    for start in range(0, len(wave), MOST):
        yield wave[start : start + MOST]
