"""Whose doing a fraud is, and the network of four sides; scikit-learn is not needed here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from antifraud.features import STEP
from antifraud.inputs import NAMES as INPUTS
from antifraud.model import score_inputs
from antifraud.training import causes
from antifraud.training.causes import ORDINARY, excess, shares
from antifraud.training.network import Plan
from antifraud.training.series import NAMES as SERIES
from antifraud.training.sides import AMOUNT, DAYS, sides

NONE = np.zeros(1_000)
SMALL = Plan(members=2, hidden=(12, 6), epochs=4, batch=128, steps=4)


def test_a_fraud_is_his_who_explains_it_and_none_is_nobodys() -> None:
    fraud = np.arange(1_000) < 2
    customer, terminal = NONE.copy(), NONE.copy()
    customer[0], terminal[1], customer[500] = 3.0, 3.0, 3.0
    found, _ = shares(fraud, customer, terminal, NONE + 8)
    assert found.customer[0] > 0.99
    assert found.terminal[1] > 0.99
    assert np.sum(found, axis=0) == pytest.approx(fraud.astype(np.float64))


def test_what_nobody_explains_is_the_unseens_at_a_rate_for_each_of_its_days() -> None:
    fraud = np.arange(1_000) < 16
    found, rate = shares(fraud, NONE, NONE, NONE + 8)
    assert found.unseen == pytest.approx(fraud.astype(np.float64))
    assert rate == pytest.approx(16 / 8_000)


def test_trees_say_of_a_customer_only_what_they_learnt_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    customer = np.arange(1_000) // 10
    asked = []

    def trees(inputs: Any, _fraud: Any, tested: Any) -> Any:
        assert not set(inputs[:, 0]) & set(tested[:, 0])
        asked.extend(tested[:, 0])
        return np.where(tested[:, 0] == 7, 0.5, 0.01)

    monkeypatch.setattr(causes, "trees", trees)
    found = excess(customer[:, None].astype(np.float64), NONE > 0, customer, 1)
    assert sorted(asked) == sorted(customer)
    assert found[customer == 7] == pytest.approx(1 - 0.01 / 0.99)
    assert (found[customer != 7] == 0).mean() > ORDINARY


def test_each_side_alone_can_say_fraud(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    signs = [AMOUNT, INPUTS.index("deviation"), DAYS + 1]
    x = np.zeros((4_000, len(INPUTS) + 2 * len(SERIES)))
    x[:, signs] = np.round(random.normal(0, 1, (4_000, 3)) / STEP) * STEP
    x[:, DAYS] = random.choice([7, 28], 4_000) / 16
    fraud = np.max(x[:, signs], axis=1) > 2
    monkeypatch.setattr(
        causes, "trees", lambda _x, _fraud, tested: np.where((tested > 2).any(axis=1), 0.9, 0.001)
    )
    said = 1 - score_inputs(sides(x, fraud, np.arange(4_000), 1, SMALL), x)
    ordinary = (x[:, signs] < 1).all(axis=1)
    for number in signs:
        alone = (x[:, number] > 2.3) & ((x[:, signs] > 1).sum(axis=1) == 1)
        assert np.median(said[alone]) > 4 * np.quantile(said[ordinary], 0.99), number
    short, long = (np.median(said[ordinary & (x[:, DAYS] == days / 16)]) for days in (7, 28))
    assert long > short
