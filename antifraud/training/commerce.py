"""Rows of simulated commerce and of the contract's generator, with the weeks on which a judge learns and is judged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antifraud.simulate import fraud_probability, generator_traffic
from antifraud.training.rows import Flags, Rows
from commerce.purchases import EPOCH, Purchases
from commerce.stream import first_days
from commerce.world import World
from history.fold import Labels, fold
from history.transactions import Transactions

GENERATOR_CUSTOMERS = 100
GENERATOR_RATES = (1 / 3, 5.0, 300.0)  # transactions a second
DELAY = 7  # days


@dataclass(frozen=True)
class Weeks:
    """Days of the world: histories fill, then training, delay, validation, delay, test."""

    fill: int = 35
    training: int = 42
    validation: int = 14
    test: int = 21

    @property
    def days(self) -> int:
        """All of them."""
        return self.fill + self.training + self.validation + self.test + 2 * DELAY

    def until_training_ends(self) -> Weeks:
        """Return the same without the weeks that come after: what a world does on a day does not depend on them."""
        return Weeks(self.fill, self.training, 0, 0)

    def of_training(self, rows: Rows) -> Flags:
        """Return which rows are to be learnt from: their labels are known before validation begins."""
        return self._between(rows, self.fill, self.training)

    def of_validation(self, rows: Rows) -> Flags:
        """Return which rows choose among judges: their labels are known before the test begins."""
        return self._between(rows, self.fill + self.training + DELAY, self.validation)

    def of_test(self, rows: Rows) -> Flags:
        """Return which rows the figures are of."""
        return self._between(rows, self.days - self.test, self.test)

    @staticmethod
    def _between(rows: Rows, first: int, days: int) -> Flags:
        return (rows.day >= first) & (rows.day < first + days)


def commerce(world: World, weeks: Weeks) -> Rows:
    """Return the world's transactions after `fill`, each with the history that its worker would have had."""
    bought = first_days(world, weeks.days)
    first = int((bought.day < weeks.fill).sum())
    history = fold(as_transactions(world, bought), Labels(bought.fraud, EPOCH + bought.known_at), first)
    bought = bought.rows(slice(first, None))
    return Rows(
        bought.cents, EPOCH + bought.second, bought.latitude, bought.longitude, history,
        bought.fraud, bought.kind, bought.customer, bought.day,
    )  # fmt: skip


def as_transactions(world: World, bought: Purchases) -> Transactions:
    """Return purchases as the pipeline sees them."""
    return Transactions(*world.columns_of(bought))


def generator_rows(count: int, random: np.random.Generator) -> Rows:
    """Return the contract's traffic: a hundred customers, every other field at random, at several rates.

    What is fraud there is a story of its own (antifraud.simulate): places, hours and amounts.
    """
    columns = generator_traffic(count, random)
    fraud = random.random(count) < fraud_probability(columns)
    customer = random.integers(0, GENERATOR_CUSTOMERS, count)
    histories, each = [], -(-count // len(GENERATOR_RATES))
    for number, rate in enumerate(GENERATOR_RATES):
        part = slice(number * each, min((number + 1) * each, count))
        length = part.stop - part.start
        time = EPOCH + (np.arange(length) / rate).astype(np.int64)
        transactions = Transactions(
            [f"customer-{row}" for row in customer[part].tolist()],
            [f"merchant-{row}" for row in range(length)],
            columns.value_in_cents[part], columns.transaction_timestamp[part], time,
            columns.latitude[part], columns.longitude[part],
        )  # fmt: skip
        histories.append(fold(transactions, Labels(np.zeros(length, np.bool_), time)))
    return Rows(
        *columns.all(),
        np.concatenate(histories),
        fraud,
        np.zeros(count, np.int64),
        customer,
        np.zeros(count, np.int64),
    )
