"""From rows to a model: what is lost on purpose, what is added, how it is fitted."""

from __future__ import annotations

import numpy as np

from antifraud.model import Model
from antifraud.training.commerce import generator_rows
from antifraud.training.network import Plan, fit
from antifraud.training.rows import Rows, together, with_history_lost

PLAN = Plan(steps=16)
HISTORY_LOST, MERCHANT_LOST = 0.15, 0.05  # shares of rows, so that the unknown is judged with sense too
GENERATOR = 20_000  # rows of the contract's traffic, a third of them without history


def model_of(training: Rows, seed: int, plan: Plan = PLAN, generator: int = GENERATOR) -> Model:
    """Return the network fitted on commerce's training weeks; reproducible from the seed on the same machine."""
    random = np.random.default_rng(seed)
    traffic = with_history_lost(generator_rows(generator, random), random, 0.33, 0.0)
    rows = together([with_history_lost(training, random, HISTORY_LOST, MERCHANT_LOST), traffic])
    return Model(fit(rows.inputs(), rows.fraud, np.ones(len(rows)), seed, plan), "v2")


def model_without_history(training: Rows, seed: int, plan: Plan = PLAN) -> Model:
    """Return a network of the same kind that has never seen a history: what the four fields alone tell."""
    rows = training.without_history()
    return Model(fit(rows.inputs(), rows.fraud, np.ones(len(rows)), seed, plan), "v2")
