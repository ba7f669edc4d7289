"""The network of the Handbook's simulator: four sides, each of which alone can say fraud.

An amount above the limit; what the customer does; what is known of the terminal; what nobody knows of it yet. Two are
small networks, fitted on their shares of the frauds (causes.py), two are written down (by_hand.py).
"""

from __future__ import annotations

import numpy as np

from antifraud.inputs import NAMES
from antifraud.model import Layer
from antifraud.training import series
from antifraud.training.by_hand import above, unseen
from antifraud.training.causes import excess, shares
from antifraud.training.either import Side, either
from antifraud.training.handbook import Flags, Floats, Ints
from antifraud.training.network import Plan, fit
from antifraud.training.steps import steps

#: Chosen on other seeds than those that are judged: 10, 11 and 20, with training from the days 66 and 94 on too.
PLAN = Plan(members=10, hidden=(48, 32), epochs=6, rate=2e-3, steps=16, steepness=40, height=20)
#: What is known of a terminal is little and simple. Chosen on the seeds 10 and 11.
TERMINAL_PLAN = Plan(
    members=10, hidden=(16, 8), epochs=8, rate=3e-3, steps=4, steepness=8, height=4, decay=0.1
)
#: Few: of several that say nearly the same, a network learns what is chance. Chosen on the seeds 10, 11 and 20.
CUSTOMER_INPUTS = (
    "amount", "known", "count_30d", "count_7d", "amount_by_mean", "amount_by_median", "median", "spread_by_median",
    "deviation", "largest_7d_by_median", "largest_30d_by_median",
)  # fmt: skip
TERMINAL_INPUTS = ("merchant_fraud_permille_30d",)  # and the series
AMOUNT = NAMES.index("amount")
DAYS = len(NAMES) + series.NAMES.index("days_since_genuine")
UNKNOWN = DAYS + len(series.NAMES)  # whether DAYS is


def sides(x: Floats, fraud: Flags, customer: Ints, seed: int, plan: Plan = PLAN) -> list[Layer]:
    """Return the layers of one network over the columns of `x`: NAMES and the series' inputs."""
    width = x.shape[1]
    ((_, limit),) = steps(x[:, [AMOUNT]], fraud, np.ones(len(fraud)), 1)
    rest = x[:, AMOUNT] <= limit
    large = fraud[~rest]
    odds = (large.sum() + 0.5) / ((~large).sum() + 0.5)
    (of_customer, of_terminal), rate = _fitted(x[rest], fraud[rest], customer[rest], seed, plan)
    fitted = either(of_terminal, of_customer, width)
    by_hand = either(above(limit, odds, AMOUNT), unseen(rate, DAYS, UNKNOWN), width)
    return either(fitted, by_hand, width).layers


def _fitted(x: Floats, fraud: Flags, customer: Ints, seed: int, plan: Plan) -> tuple[list[Side], float]:
    """Return the two sides that are fitted, and the odds of what is unseen at a terminal for each of its days."""
    inputs = (
        [NAMES.index(name) for name in CUSTOMER_INPUTS],
        [*(NAMES.index(name) for name in TERMINAL_INPUTS), *range(len(NAMES), x.shape[1])],
    )
    by_customer, by_terminal = (excess(x[:, chosen], fraud, customer, seed) for chosen in inputs)
    days = x[:, DAYS] * series.SCALE + x[:, UNKNOWN] * series.MOST
    found, rate = shares(fraud, by_customer, by_terminal, days)
    # Frauds of customers are few. So half of the target is what trees say, of payments that are not fraud too.
    targets = ((found.customer + by_customer / (1 + by_customer)) / 2, found.terminal)
    everywhere = np.ones(len(fraud))
    return [
        Side(fit(x[:, chosen], target, everywhere, seed, plan_), chosen)
        for chosen, target, plan_ in zip(inputs, targets, (plan, TERMINAL_PLAN), strict=True)
    ], rate
