"""The simulator of the Fraud Detection Handbook, written anew from its description, and the book's own inputs.

Customers and terminals lie on a square of 100 x 100; a customer pays at terminals within RADIUS. Fraud has
three scenarios: an amount over 220; terminals compromised for 28 days; customers for 14 days, with a third of
their amounts times five. Nothing here is the book's code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from history.fold import Labels
from history.transactions import Transactions

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

DAY = 86_400
EPOCH = 1_522_540_800  # 2018-04-01, UTC
CUSTOMERS, TERMINALS, RADIUS, DAYS = 5_000, 10_000, 5.0, 183
DELAY = 7  # days until a fraud is known
LARGE = 22_000  # cents; above it is scenario 1
#: So many terminals and customers are compromised every day, and for so many days.
TERMINALS_A_DAY, OF_A_TERMINAL = 2, 28
CUSTOMERS_A_DAY, OF_A_CUSTOMER = 3, 14
#: A third of a compromised customer's amounts, times five.
SHARE, FACTOR = 1 / 3, 5
SCENARIOS = ("genuine", "large amount", "terminal", "customer")


@dataclass(frozen=True)
class Payments:
    """The simulated transactions in order of time, one array per field."""

    customer: Ints
    terminal: Ints
    cents: Ints
    second: Ints  # since EPOCH
    scenario: Ints  # an index of SCENARIOS; the later scenario wins

    @property
    def day(self) -> Ints:
        """Days since EPOCH."""
        return self.second // DAY

    @property
    def fraud(self) -> Flags:
        """Whether it is fraud."""
        return self.scenario > 0

    def rows(self, chosen: Flags | Ints) -> Payments:
        """Return the chosen rows."""
        return Payments(*(column[chosen] for column in vars(self).values()))


class Hidden(NamedTuple):
    """What no payment says: each customer's mean amount, and on which days a terminal is compromised."""

    mean: Floats
    compromised: Flags  # terminals x days


def simulate(seed: int, days: int = DAYS, customers: int = CUSTOMERS, terminals: int = TERMINALS) -> Payments:
    """Return all payments of the first days; the same seed gives the same ones."""
    return with_hidden(seed, days, customers, terminals)[0]


def with_hidden(
    seed: int, days: int = DAYS, customers: int = CUSTOMERS, terminals: int = TERMINALS
) -> tuple[Payments, Hidden]:
    """Return the same payments, and what is behind them."""
    random = np.random.default_rng(seed)
    homes, places = random.uniform(0, 100, (customers, 2)), random.uniform(0, 100, (terminals, 2))
    near = [np.flatnonzero(((places - home) ** 2).sum(axis=1) < RADIUS**2) for home in homes]
    mean, rate = random.uniform(5, 100, customers), random.uniform(0, 4, customers)
    rate[[len(found) == 0 for found in near]] = 0
    customer = np.repeat(np.arange(customers), random.poisson(rate * days))
    day = random.integers(0, days, len(customer))
    second_of_day = random.normal(DAY / 2, 20_000, len(customer))
    amount = random.normal(mean[customer], mean[customer] / 2)
    amount = np.where(amount < 0, random.uniform(0, 2 * mean[customer]), amount)
    widths = np.array([max(len(found), 1) for found in near])
    choice = random.integers(0, widths[customer])
    flat, start = np.concatenate(near), np.cumsum([0, *map(len, near)])[:-1]
    terminal = flat[start[customer] + choice]
    cents = np.maximum(np.round(amount * 100), 1).astype(np.int64)
    second = day * DAY + second_of_day.astype(np.int64)
    within = (second_of_day > 0) & (second_of_day < DAY)
    order = np.argsort(second[within], kind="stable")
    genuine = Payments(customer, terminal, cents, second, np.zeros(len(second), np.int64))
    payments, compromised = _with_fraud(genuine.rows(within).rows(order), random, days, customers, terminals)
    return payments, Hidden(mean, compromised)


def _with_fraud(
    payments: Payments, random: np.random.Generator, days: int, customers: int, terminals: int
) -> tuple[Payments, Flags]:
    """Return the payments with the three scenarios, the amounts of the third changed, and the terminals' days."""
    scenario, cents, day = payments.scenario.copy(), payments.cents.copy(), payments.day
    scenario[cents > LARGE] = 1
    compromised = np.full((terminals, days), fill_value=False)
    for first in range(days):
        chosen = random.choice(terminals, min(TERMINALS_A_DAY, terminals), replace=False)
        compromised[chosen, first : first + OF_A_TERMINAL] = True
    scenario[compromised[payments.terminal, day]] = 2
    order = np.lexsort((day, payments.customer))
    starts = np.searchsorted(payments.customer[order], np.arange(customers + 1))
    for first in range(days):
        for victim in random.choice(customers, min(CUSTOMERS_A_DAY, customers), replace=False):
            rows = order[starts[victim] : starts[victim + 1]]
            rows = rows[(day[rows] >= first) & (day[rows] < first + OF_A_CUSTOMER)]
            chosen = random.choice(rows, int(len(rows) * SHARE), replace=False)
            cents[chosen] *= FACTOR
            scenario[chosen] = 3
    return Payments(payments.customer, payments.terminal, cents, payments.second, scenario), compromised


BOOK_INPUTS = (
    "amount", "weekend", "night",
    *(f"customer_{what}_{window}d" for window in (1, 7, 30) for what in ("count", "mean")),
    *(f"terminal_{what}_{window}d" for window in (1, 7, 30) for what in ("count", "risk")),
)  # fmt: skip


def book_inputs(payments: Payments, calendar_days: bool = False) -> Floats:
    """Return the book's 15 inputs, rows x BOOK_INPUTS; sliding windows to the second, the payment itself included.

    `calendar_days`: a terminal's windows end with the day DELAY days ago instead, as those of `history` do.
    """
    amount = payments.cents / 100
    columns = [
        amount,
        (payments.day + 6) % 7 >= 5,  # 1 April 2018 was a Sunday
        payments.second % DAY // 3_600 <= 6,
    ]
    ones = np.ones(len(amount))
    for window in (1, 7, 30):
        count, total = _sliding(payments.customer, payments.second, np.stack([ones, amount]), window, 0)
        columns += [count, total / count]
    labels = np.stack([ones, payments.fraud.astype(np.float64)])
    time = payments.day * DAY if calendar_days else payments.second
    for window in (1, 7, 30):
        count, frauds = _sliding(payments.terminal, time, labels, window, DELAY)
        columns += [count, np.where(count > 0, frauds / np.maximum(count, 1), 0)]
    return np.column_stack(columns).astype(np.float64)


def _sliding(of: Ints, second: Ints, values: Floats, window: int, delay: int) -> Floats:
    """Return each value's sum over the same `of`, from delay + window days before (excluded) to delay days before."""
    order = np.lexsort((second, of))
    span = int(second.max()) + 100 * DAY
    time = of[order] * span + second[order]
    sums = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values[:, order], axis=1)], axis=1)
    last = np.searchsorted(time, time - delay * DAY, side="right")
    first = np.searchsorted(time, time - (delay + window) * DAY, side="right")
    first_of = np.searchsorted(time, of[order] * span)
    last, first = np.maximum(last, first_of), np.maximum(first, first_of)
    result = np.empty_like(values)
    result[:, order] = sums[:, last] - sums[:, first]
    return result


def split(payments: Payments, first: int, weeks: int = 1) -> tuple[Flags, Flags]:
    """Return the rows to train on (weeks from day `first`) and to test on: after DELAY days, one week.

    A card with a fraud that is known by then leaves the test, as in the book.
    """
    day, end = payments.day, first + 7 * weeks
    test = (day >= end + DELAY) & (day < end + DELAY + 7)
    known_on = np.full(int(payments.customer.max()) + 1, 10**6)  # the day from which the card is known
    counted = payments.fraud & (day >= first)
    np.minimum.at(known_on, payments.customer[counted], day[counted] + DELAY + 1)
    return (day >= first) & (day < end), test & (day < known_on[payments.customer])


def as_transactions(payments: Payments, known_after: int) -> tuple[Transactions, Labels]:
    """Return the payments as the pipeline sees them (the book has no places: all are at 0, 0) and their labels.

    A fraud is known after so many days, and counts from the day after that.
    """
    count, time = len(payments.cents), EPOCH + payments.second
    nowhere = np.zeros(count)
    customers = [f"customer-{n}" for n in range(int(payments.customer.max()) + 1)]
    terminals = [f"terminal-{n}" for n in range(int(payments.terminal.max()) + 1)]
    return (
        Transactions(
            [customers[n] for n in payments.customer.tolist()],
            [terminals[n] for n in payments.terminal.tolist()],
            payments.cents, time, time, nowhere, nowhere,
        ),
        Labels(payments.fraud, time + known_after * DAY),
    )  # fmt: skip
