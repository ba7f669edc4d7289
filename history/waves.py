"""A batch in waves: the first transaction of each customer, then the second of each, and so on."""

from __future__ import annotations

import numpy as np

from history.transactions import Ints


def waves(rows: Ints) -> list[Ints]:
    """Return positions in the batch, no customer twice in a wave, each customer's in the batch's order.

    `rows`: each transaction's customer.
    """
    total = len(rows)
    order = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[order], prepend=-1))
    if len(starts) == total:
        return [order]
    occurrence = np.arange(total) - np.repeat(starts, np.diff(starts, append=total))
    by_occurrence = order[np.argsort(occurrence, kind="stable")]
    return np.split(by_occurrence, np.cumsum(np.bincount(occurrence))[:-1])
