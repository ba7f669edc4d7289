"""What exercises 10 and 11 send: bursts of the same customers, ordinary purchases, and stolen cards tried out."""

from __future__ import annotations

from itertools import groupby, islice

import numpy as np
import pytest

from antifraud.model import TRAINED, Model, load
from antifraud.models import present
from exercises.bursts import bursts
from exercises.new_fraud import ANNOYED, CAUGHT, LET_THROUGH, NEW_MODEL, OLD_MODEL
from exercises.stolen_cards import HABIT, TRIES, customers, habits, ordinary, theft
from generator.traffic import Transaction, transactions
from history.customers import CustomerHistory
from history.features import FEATURES
from history.transactions import Transactions


def test_customers_come_in_bursts_and_again() -> None:
    some = [one["customer_id"] for one in islice(bursts(customers=3, burst=4), 24)]
    assert [len([*group]) for _, group in groupby(some)] == [4] * 6
    assert some[:12] == some[12:]


def test_both_have_the_contracts_fields() -> None:
    (wanted,) = transactions(1)
    (robbed,) = customers(1, seed=1)
    for one in (next(bursts()), robbed.buys(), robbed.robbed(0)):
        assert {name: type(value) for name, value in one.items()} == {
            name: type(value) for name, value in wanted.items()
        }


def test_an_ordinary_customer_is_replaced_once_it_has_its_habits() -> None:
    some = [one["customer_id"] for one in islice(ordinary(customers(2, seed=1)), 4 * HABIT)]
    assert sorted(some.count(one) for one in set(some)) == [HABIT] * 4


def score(model: Model, bodies: list[Transaction]) -> list[float]:
    """What a model says of these, in their order, in a second; each knows those before it."""
    batch = Transactions.of([{**one, "event_timestamp": 1_764_000_000} for one in bodies])
    history = np.full((len(bodies), len(FEATURES)), -1, np.int64)
    observed = CustomerHistory().observe(batch)
    history[:, : observed.shape[1]] = observed
    columns = (batch.value_in_cents, batch.transaction_timestamp, batch.latitude, batch.longitude)
    found: list[float] = model.score(*columns, history).tolist()
    return found


@pytest.mark.parametrize("seed", range(5))
def test_the_old_model_lets_the_theft_through_and_the_new_one_does_not(seed: int) -> None:
    robbed = customers(20, seed)
    before, thefts = habits(robbed), theft(robbed)
    assert len(thefts) == 20 * TRIES
    folders = present(TRAINED)
    for version, least, most in ((OLD_MODEL, 0.0, 1 - LET_THROUGH), (NEW_MODEL, CAUGHT, 1.0)):
        scores = score(load(folders[version]), before + thefts)
        rejected = [one < 0.5 for one in scores]
        assert sum(rejected[: len(before)]) <= ANNOYED * len(before)
        assert least <= sum(rejected[len(before) :]) / len(thefts) <= most
