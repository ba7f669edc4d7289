"""Whose doing a fraud is: a label does not say, so each side is fitted on its share of it.

A side that is fitted on all frauds takes those of the other one for chance, and says of everybody that they could be
fraud, more or less: noise, in which the other one's finer differences drown.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antifraud.training.handbook import Flags, Floats, Ints
from antifraud.training.judges import trees

FOLDS, ROUNDS = 5, 20
ORDINARY = 0.9  # of all payments; what trees say of these is chance


class Shares(NamedTuple):
    """Of each payment, how much of it is a fraud by each of three causes; together 1 for a fraud, 0 for none."""

    customer: Floats
    terminal: Floats
    unseen: Floats


def shares(fraud: Flags, customer: Floats, terminal: Floats, days: Floats) -> tuple[Shares, float]:
    """Return the shares by the odds of each cause, and the odds of the unseen for each of its days.

    A fraud that neither the customer nor the terminal explains is the unseen's: its odds are as many as there are such.
    """
    rate = fraud.mean() / days.mean() / 2
    for _ in range(ROUNDS):
        odds = np.stack([customer, terminal, rate * days])
        found = fraud * odds / odds.sum(axis=0)
        rate = found[2].sum() / days.sum()
    return Shares(*found), float(rate)


def excess(inputs: Floats, fraud: Flags, customer: Ints, seed: int) -> Floats:
    """Return the odds of fraud above what is ordinary, by trees that were fitted without the payment's customer."""
    fold = np.random.default_rng(seed).integers(0, FOLDS, customer.max() + 1)[customer]
    found = np.empty(len(fraud))
    for number in range(FOLDS):
        own = fold == number
        found[own] = trees(inputs[~own], fraud[~own], inputs[own])
    odds = found / (1 - found)
    return np.maximum(odds - np.quantile(odds, ORDINARY), 0)
