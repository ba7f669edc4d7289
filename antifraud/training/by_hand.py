"""Two sides of a network that need no fitting: an amount above which all is fraud, and what nobody knows yet."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from antifraud.features import STEP, in_steps
from antifraud.model import Layer
from antifraud.training.either import Side
from antifraud.training.series import MOST, SCALE

NEVER = -16.0  # log odds of fraud
#: In days. Between these log(days) is taken as linear.
KNOTS = np.array([7.0, 8.0, 10.0, 13.0, 18.0, 28.0, 42.0, MOST])


def above(threshold: float, odds: float, number: int) -> Side:
    """Return the side that says these odds of fraud where an input is above the threshold, and nothing below."""
    # In STEPs an input is a whole number: from one to the next the two units' difference goes from 0 to 1.
    last = int(np.floor(threshold / STEP))
    first = Layer(in_steps([[1 / STEP, 1 / STEP]]), in_steps([-last, -last - 1]))
    second = Layer(in_steps([[1], [-1]]), in_steps([0]))
    return Side([first, second, _odds([np.log(odds) - NEVER], NEVER)], [number])


def unseen(rate: float, days: int, is_unknown: int) -> Side:
    """Return the side that says of a terminal: so many days it could have been compromised unseen, `rate` a day.

    `days` and `is_unknown` are the numbers of two inputs, the days since it was last known to be good (series.py).
    """
    # One unit for each knot, from where it counts the days.
    first = Layer(in_steps(np.repeat([[SCALE], [MOST]], len(KNOTS) - 1, axis=1)), in_steps(-KNOTS[:-1]))
    slopes = np.diff(np.log(KNOTS)) / np.diff(KNOTS)
    second = Layer(in_steps(np.eye(len(slopes))), in_steps(np.zeros(len(slopes))))
    last = _odds(np.diff(slopes, prepend=0), np.log(rate * KNOTS[0]))
    return Side([first, second, last], [days, is_unknown])


def _odds(weights: ArrayLike, bias: float) -> Layer:
    """Return a last layer, whose output is the logit of *good*, from weights for the log odds of fraud."""
    return Layer(in_steps(-np.reshape(weights, (-1, 1))), in_steps([-bias]))
