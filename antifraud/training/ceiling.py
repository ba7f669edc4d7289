"""How well anybody could do on the Handbook's simulator: one who knows how it works, and more than a log could say.

It knows each customer's true mean, the chance of every scenario, and of a terminal with a known fraud how long it is
compromised. What it does not know is what nobody can: a terminal's frauds before the first of them is known, and which
of a compromised customer's ordinary amounts are frauds. What is left of a goal above this is luck.
"""

from __future__ import annotations

import numpy as np

from antifraud.training.handbook import (
    CUSTOMERS_A_DAY,
    DELAY,
    FACTOR,
    LARGE,
    OF_A_CUSTOMER,
    OF_A_TERMINAL,
    SHARE,
    TERMINALS_A_DAY,
    Flags,
    Floats,
    Hidden,
    Ints,
    Payments,
)


def suspicion(payments: Payments, hidden: Hidden, test: Flags) -> Floats:
    """Return the probability of fraud of each payment of the test."""
    of_terminal = _terminal(payments, hidden, test)
    of_customer = _customer(payments, hidden, payments.day[test].min() - 2 * OF_A_CUSTOMER)[test]
    found = 1 - (1 - of_terminal) * (1 - of_customer)
    return np.where(payments.cents[test] > LARGE, 1.0, found)


def _terminal(payments: Payments, hidden: Hidden, test: Flags) -> Floats:
    """Return the probability that a payment's terminal is compromised, by what is known of it DELAY days later."""
    order = np.lexsort((payments.second, payments.terminal))
    terminal, day = payments.terminal[order], payments.day[order]
    time = terminal * 10_000 + day
    at, on = payments.terminal[test], payments.day[test]
    last = np.searchsorted(time, at * 10_000 + on - DELAY, side="right") - 1
    is_known = (last >= 0) & (terminal[last] == at)
    seen_on = np.where(is_known, day[last], -OF_A_TERMINAL)
    compromised = np.pad(np.cumsum(hidden.compromised, axis=1), ((0, 0), (1, 0)))
    days: Ints = compromised[at, on + 1] - compromised[at, np.maximum(seen_on, 0)]
    is_certain = is_known & (days == on - seen_on + 1)
    unseen = np.minimum(on - seen_on, OF_A_TERMINAL)
    return np.where(is_certain, 1.0, 1 - (1 - TERMINALS_A_DAY / len(hidden.compromised)) ** unseen)


def _customer(payments: Payments, hidden: Hidden, first: int) -> Floats:
    """Return the probability that it is a compromised customer's fraud, by all his amounts from day `first` on."""
    amount, mean = payments.cents / 100, hidden.mean[payments.customer]
    usual, raised = _density(amount, mean), _density(amount / FACTOR, mean) / FACTOR
    chance = CUSTOMERS_A_DAY / len(hidden.mean)
    day, found = payments.day, np.zeros(len(amount))
    for rows in _by_customer(payments, first):
        # The probability of each state: not compromised, and compromised for the first, second, … day.
        states = np.full(OF_A_CUSTOMER + 1, chance)
        states[0] = 1 - OF_A_CUSTOMER * chance
        before = day[rows[0]]
        for row in rows:
            for _ in range(day[row] - before):
                free = states[0] + states[-1]
                states = np.concatenate([[free * (1 - chance), free * chance], states[1:-1]])
            before = day[row]
            of_fraud = SHARE * raised[row]
            of_compromised = of_fraud + (1 - SHARE) * usual[row]
            is_compromised = states[1:].sum()
            states[0] *= usual[row]
            states[1:] *= of_compromised
            found[row] = is_compromised * of_fraud / states.sum()
            states /= states.sum()
    return found


def _by_customer(payments: Payments, first: int) -> list[Ints]:
    order = np.lexsort((payments.second, payments.customer))
    order = order[payments.day[order] >= first]
    starts = np.flatnonzero(np.diff(payments.customer[order])) + 1
    return np.split(order, starts)


def _density(amount: Floats, mean: Floats) -> Floats:
    """Return how likely a customer's amount is: normal, and where that is below 0 anything up to twice the mean."""
    spread = mean / 2
    normal = np.exp(-(((amount - mean) / spread) ** 2) / 2) / (spread * np.sqrt(2 * np.pi))
    below = 0.02275  # of a normal distribution, two standard deviations below its mean
    density: Floats = normal + np.where(amount < 2 * mean, below / (2 * mean), 0)
    return density + np.finfo(float).tiny
