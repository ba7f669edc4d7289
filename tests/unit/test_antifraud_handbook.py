"""The Handbook's simulator, its split and its inputs, written anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from antifraud.training.benchmark_report import (
    FOREST,
    NETWORK,
    SERVED,
    STRICT,
    TREES,
    as_markdown,
    mean,
    shortcomings,
)
from antifraud.training.ceiling import suspicion
from antifraud.training.figures import calibration_error, card_precision
from antifraud.training.handbook import (
    BOOK_INPUTS,
    DAY,
    DELAY,
    LARGE,
    SCENARIOS,
    Hidden,
    Payments,
    as_transactions,
    book_inputs,
    simulate,
    split,
    with_hidden,
)
from history.features import FEATURES
from history.fold import fold


@pytest.fixture(scope="module")
def payments() -> Payments:
    return simulate(1, days=60, customers=1_000, terminals=2_000)


def one_by_one(**columns: list[int]) -> Payments:
    rows = len(next(iter(columns.values())))
    given = {name: np.array(values) for name, values in columns.items()}
    zero = {name: np.zeros(rows, np.int64) for name in ("customer", "terminal", "second", "scenario")}
    return Payments(**{**zero, "cents": np.full(rows, 1_000), **given})


def test_the_simulation_is_its_seed(payments: Payments) -> None:
    again = simulate(1, days=60, customers=1_000, terminals=2_000)
    assert all((a == b).all() for a, b in zip(vars(payments).values(), vars(again).values(), strict=True))
    assert len(simulate(2, days=60, customers=1_000, terminals=2_000).cents) != len(payments.cents)


def test_a_customer_makes_two_payments_a_day_of_his_own_amounts_at_terminals_near_by(
    payments: Payments,
) -> None:
    assert 1.6 < len(payments.cents) / 60 / 1_000 < 2.1
    genuine = payments.rows(~payments.fraud)
    means = np.bincount(genuine.customer, genuine.cents) / np.maximum(np.bincount(genuine.customer), 1)
    assert 500 < np.quantile(means[means > 0], 0.05) < 2_500
    assert 8_500 < np.quantile(means, 0.95) < 11_500
    terminals = [len(np.unique(payments.terminal[payments.customer == c])) for c in range(50)]
    assert max(terminals) < 50  # of 2,000


def test_the_three_scenarios_are_as_described(payments: Payments) -> None:
    assert (payments.cents[payments.scenario == 1] > LARGE).all()
    assert (payments.cents[payments.scenario == 0] <= LARGE).all()
    compromised = payments.terminal[payments.scenario == 2]
    for terminal in np.unique(compromised)[:20]:
        rows = payments.rows((payments.terminal == terminal) & (payments.scenario == 2))
        assert rows.day.max() - rows.day.min() < 56  # 28 days, or twice in a row
    assert np.median(payments.cents[payments.scenario == 3]) > 3 * np.median(payments.cents)
    shares = np.bincount(payments.scenario, minlength=4)[1:] / payments.fraud.sum()
    assert shares[1] > shares[2] > shares[0] > 0


def test_the_books_inputs_are_counts_means_and_shares_that_end_where_labels_are_known() -> None:
    rows = one_by_one(
        second=[0, DAY // 2, 9 * DAY, 9 * DAY + 1],
        cents=[1_000, 3_000, 5_000, 7_000],
        scenario=[2, 0, 0, 0],
    )
    inputs = dict(zip(BOOK_INPUTS, book_inputs(rows).T, strict=True))
    assert inputs["customer_count_1d"].tolist() == [1, 2, 1, 2]
    assert inputs["customer_mean_1d"].tolist() == [10, 20, 50, 60]
    assert inputs["customer_count_30d"].tolist() == [1, 2, 3, 4]
    assert inputs["terminal_count_7d"].tolist() == [0, 0, 2, 2]
    assert inputs["terminal_risk_7d"].tolist() == [0, 0, 0.5, 0.5]
    assert inputs["terminal_risk_1d"].tolist() == [0, 0, 0, 0]
    assert inputs["weekend"].tolist() == [1, 1, 0, 0]  # 1 April 2018 was a Sunday


def test_training_delay_and_test_are_a_week_each_and_known_cards_leave_the_test(payments: Payments) -> None:
    training, test = split(payments, 35)
    day = payments.day
    assert (day[training].min(), day[training].max()) == (35, 41)
    assert (day[test].min(), day[test].max()) == (49, 55)
    seen = set(payments.customer[training & payments.fraud].tolist())
    assert seen & set(payments.customer[test].tolist()) == set()
    assert seen & set(payments.customer[(day >= 49) & (day < 56)].tolist()) != set()
    first_day = payments.rows(test & (day == 49))
    assert (
        set(payments.customer[payments.fraud & (day == 45)].tolist()) & set(first_day.customer.tolist())
        != set()
    )


@pytest.mark.parametrize(("known_after", "counts_on"), [(DELAY - 1, DELAY), (DELAY, DELAY + 1)])
def test_a_fraud_counts_seven_calendar_days_later_or_a_day_later_than_that(
    known_after: int, counts_on: int
) -> None:
    days = DELAY + 3
    payments = one_by_one(second=[DAY * day + 100 for day in range(days)], scenario=[1] + [0] * (days - 1))
    history = fold(*as_transactions(payments, known_after), delay=known_after)
    for name in ("merchant_frauds", "merchant_fraud_permille_1d"):
        first = np.flatnonzero(history[:, FEATURES.index(name)] > 0)[0]
        assert first == counts_on, name


def test_card_precision_counts_cards_not_payments_and_a_card_once() -> None:
    day, card = np.array([0, 0, 0, 1, 1]), np.array([1, 1, 2, 1, 3])
    fraud = np.array([True, True, False, True, True])
    score = np.array([0.9, 0.8, 0.7, 0.9, 0.1])
    assert card_precision(day, card, fraud, score, top=1) == 1.0  # card 1 is blocked on the second day
    assert card_precision(day, card, fraud, score, top=2) == 0.5
    assert card_precision(day, card, fraud, -score, top=1) == 0.5


def test_calibration_is_the_distance_of_what_was_said_from_what_came() -> None:
    fraud = np.array([True, False, False, False])
    assert calibration_error(fraud, np.full(4, 0.25)) == 0
    assert calibration_error(fraud, np.full(4, 0.75)) == 0.5
    assert calibration_error(fraud, np.array([1.0, 0.0, 0.0, 0.0])) == 0


def test_a_goal_that_is_missed_is_named() -> None:
    reached = {"average_precision": 0.73, "card_precision_100": 0.33, "roc_auc": 0.9}
    less = {"average_precision": 0.68}
    trees = {name + days: less for name in (TREES, FOREST) for days in ("", ", calendar days")}
    report: dict[str, Any] = {"mean": {"network": reached}, "results": [{"network": reached, **trees}]}
    assert shortcomings(report) == []
    report["mean"]["network"] = reached | {"roc_auc": 0.88}
    assert shortcomings(report) == ["roc_auc 0.88 is under 0.89"]


def test_the_report_has_each_seed_each_pair_what_is_missed_and_its_command() -> None:
    figures = {"roc_auc": 0.9, "average_precision": 0.7, "card_precision_100": 0.4}
    figures |= {f"average_precision, {scenario}": 0.5 for scenario in SCENARIOS[1:]}
    calendar = (f"{TREES}, calendar days", f"{FOREST}, calendar days")
    results = [
        {judge: figures | {"average_precision": ap} for judge in (TREES, FOREST, *calendar, STRICT, SERVED)}
        | {NETWORK: figures | {"average_precision": ap + 0.05}}
        for ap in (0.61, 0.67)
    ]
    report = {"seeds": [4, 5], "results": results, "mean": mean(results), "versions": {"python": "3.11.7"}}
    lines = as_markdown(report).splitlines()
    assert "| 4 | 0.660 | 0.400 | 0.900 |" in lines
    assert f"- network, over {FOREST}: +0.050 (+0.050, +0.050)" in lines
    assert "Missed: average_precision 0.69 is under 0.72." in lines
    assert lines[-1] == "Made by `python -m antifraud.training handbook --seeds 4 5` with python 3.11.7."


def test_who_knows_the_simulator_is_sure_of_what_is_known_and_says_how_likely_the_rest_is() -> None:
    payments, hidden = with_hidden(3, days=60, customers=1_000, terminals=2_000)
    _, test = split(payments, 35)
    judged, said = payments.rows(test), suspicion(payments, hidden, test)
    assert (said[judged.cents > LARGE] == 1).all()
    sure = (said > 0.9999) & (judged.cents <= LARGE)
    assert sure.sum() > 50
    assert judged.fraud[sure].mean() > 0.99
    unsure = said < 0.05
    assert said[unsure].mean() == pytest.approx(judged.fraud[unsure].mean(), rel=0.35)


def test_nobody_knows_of_a_terminal_before_its_first_fraud_is_known() -> None:
    payments = one_by_one(second=[DAY * day for day in range(DELAY + 3)], scenario=[2] * (DELAY + 3))
    hidden = Hidden(np.array([10.0]), np.ones((10_000, DELAY + 3), np.bool_))
    said = suspicion(payments, hidden, payments.day >= 1)
    assert (said[: DELAY - 1] < 0.01).all()
    assert (said[DELAY - 1 :] == 1).all()
