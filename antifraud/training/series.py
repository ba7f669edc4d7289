"""What the known labels at a terminal say of a present series of frauds: inputs that a history does not have.

The first known fraud of a history is the first one ever, and with years most merchants have one. What tells is how long
the present series has lasted, and whether it has ended: the last payment that is known to be genuine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from antifraud.features import rounded
from antifraud.training.handbook import Flags, Floats, Ints, Payments

NAMES = (
    "days_since_genuine",  # the last payment known to be genuine
    "frauds_since_genuine",
    "days_since_first_since_genuine",  # the first of those frauds
    "days_since_first_of_37",  # the first known fraud of the last 37 days
    "frauds_of_37",
    "days_since_series",  # the first fraud from which on SERIES of what is known are frauds
)
SERIES = 0.6
WINDOW, MOST, SCALE = 37, 64, 16


def series_inputs(payments: Payments, kept: Flags, delay: int) -> Floats:
    """Return two inputs for each of NAMES, its value and whether it is unknown, for the kept rows.

    Known are the payments of days at least `delay` before.
    """
    found = _series(payments, np.flatnonzero(kept), delay)
    inputs = np.hstack([np.clip(found, 0, MOST) / SCALE, found < 0]).astype(np.float64)
    exact: Floats = rounded(inputs).numpy()
    return exact


def _series(payments: Payments, rows: Ints, delay: int) -> Ints:
    order = np.lexsort((payments.second, payments.terminal))
    day, fraud = payments.day[order], payments.fraud[order]
    starts = np.searchsorted(payments.terminal[order], np.arange(payments.terminal.max() + 2))
    found = np.full((len(rows), len(NAMES)), -1, np.int64)
    for place, (terminal, today) in enumerate(
        zip(payments.terminal[rows].tolist(), payments.day[rows].tolist(), strict=True)
    ):
        here = slice(starts[terminal], starts[terminal + 1])
        known = slice(here.start, here.start + int(np.searchsorted(day[here], today - delay, side="right")))
        found[place] = _of_terminal(today - day[known], fraud[known])
    return found


def _of_terminal(age: Ints, fraud: NDArray[np.bool_]) -> tuple[int, ...]:
    """The values of NAMES, from days ago and labels of what is known, the oldest first; -1 for what there is not."""
    genuine, frauds = np.flatnonzero(~fraud), np.flatnonzero(fraud)
    last = int(genuine[-1]) if len(genuine) else -1
    since = len(fraud) - last - 1
    recent = frauds[age[frauds] <= WINDOW]
    share = np.cumsum(fraud[::-1])[::-1] / np.arange(len(fraud), 0, -1)
    began = frauds[share[frauds] >= SERIES]
    return (
        int(age[last]) if last >= 0 else -1,
        since,
        int(age[last + 1]) if since else -1,
        int(age[recent[0]]) if len(recent) else -1,
        len(recent) or -1,
        int(age[began[0]]) if len(began) else -1,
    )
