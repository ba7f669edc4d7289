"""Simulated commerce: who buys, who attacks, when fraud is known; and the history that training folds of it."""

from __future__ import annotations

import numpy as np
import pytest

from antifraud.features import calendar
from antifraud.training.commerce import Weeks, as_transactions, commerce, generator_rows
from commerce.attacks import Attackers
from commerce.purchases import (
    DAY,
    EPOCH,
    KINDS,
    MERCHANT,
    SLOW,
    TAKEOVER,
    TESTING,
    TRAVEL,
    Purchases,
    together,
)
from commerce.stream import days, first_days
from commerce.world import World
from history.features import CUSTOMER_FEATURES, FEATURES
from history.fold import Labels, fold
from history.transactions import DAY as DAY_OF_HISTORY

DAYS = 45


@pytest.fixture(scope="module")
def world() -> World:
    return World.made(3, customers=1_000, merchants=400)


@pytest.fixture(scope="module")
def bought(world: World) -> Purchases:
    return first_days(world, DAYS)


@pytest.fixture(scope="module")
def few(bought: Purchases) -> Purchases:
    """What a hundred customers bought: enough to fold."""
    return bought.rows(bought.customer < 100)


@pytest.fixture(scope="module")
def compromised(world: World) -> Purchases:
    """With attackers who compromise many merchants."""
    stream = days(world, Attackers(world, (MERCHANT,), strength=4.0))
    return together([today for today, _ in zip(stream, range(DAYS), strict=False)])


def attacks(world: World, kind: int) -> list[Purchases]:
    """The purchases of each victim of one kind of attack, of many attackers."""
    stream = days(world, Attackers(world, (kind,), strength=4.0))
    frauds = together([today for today, _ in zip(stream, range(20), strict=False)])
    frauds = frauds.rows(frauds.kind == kind)
    return [frauds.rows(frauds.customer == victim) for victim in np.unique(frauds.customer)]


def test_the_same_seed_gives_the_same_purchases_and_another_seed_others(world: World) -> None:
    first, again = first_days(world, 5), first_days(World.made(3, customers=1_000, merchants=400), 5)
    assert all((a == b).all() for a, b in zip(vars(first).values(), vars(again).values(), strict=True))
    other = first_days(World.made(4, customers=1_000, merchants=400), 5)
    assert len(other) != len(first)


def test_less_than_one_purchase_in_a_hundred_is_fraud_and_every_kind_is_there(bought: Purchases) -> None:
    later = bought.rows(bought.day >= 14)  # attacks of weeks have begun by then
    assert 0.005 < later.fraud.mean() < 0.012
    shares = np.bincount(later.kind, minlength=len(KINDS))[1:] / later.fraud.sum()
    assert (shares > 0.01).all()
    assert (shares < 0.6).all()


def test_purchases_come_in_order_of_time_each_on_its_day(world: World) -> None:
    for number, today in zip(range(4), days(world), strict=False):
        assert (today.day == number).all()
        assert (np.diff(today.second) >= 0).all()


def test_the_days_on_which_most_is_bought_are_the_weekend_of_the_models_calendar(
    world: World, bought: Purchases
) -> None:
    """A habit of days that the model sees as other days would be one that it cannot learn."""
    weeks = bought.rows(bought.day < DAYS // 7 * 7)
    _, _, _, time, *_ = world.columns_of(weeks)
    weekday = (time // DAY + 3) % 7  # 1 January 1970 was a Thursday
    busiest = np.argsort(np.bincount(weekday, minlength=7))[-2:]
    assert set(busiest.tolist()) == {5, 6}
    weekend = calendar(time, np.zeros(len(time)))[2].numpy()
    assert (weekend == np.isin(weekday, busiest)).all()


def test_customers_have_homes_and_most_of_what_they_buy_is_at_merchants_they_know(
    world: World, bought: Purchases
) -> None:
    genuine = bought.rows(~bought.fraud)
    away = np.hypot(
        genuine.latitude - world.home[genuine.customer, 0],
        genuine.longitude - world.home[genuine.customer, 1],
    )
    assert (away < 1).mean() > 0.85
    usual = (world.favourites[genuine.customer] == genuine.merchant[:, None]).any(axis=1)
    assert usual.mean() > 0.6


def test_card_testing_is_many_tiny_amounts_within_minutes_then_a_large_one(world: World) -> None:
    for attack in attacks(world, TESTING)[:30]:
        first = attack.rows(attack.second < attack.second[0] + 3_600)
        tiny = first.cents < 400
        assert tiny[:4].all()
        assert first.second[3] - first.second[0] < 600
    assert np.mean([(attack.cents > 5_000).any() for attack in attacks(world, TESTING)]) > 0.7


def test_an_account_taken_over_buys_elsewhere_and_more(world: World) -> None:
    for attack in attacks(world, TAKEOVER)[:30]:
        victim = attack.customer[0]
        far = np.hypot(*(np.column_stack([attack.latitude, attack.longitude]) - world.home[victim]).T)
        assert (far > 0.7).mean() > 0.5
        assert 1 <= len(np.unique(attack.day)) <= 10


def test_a_copied_card_is_used_in_another_city_within_a_day(world: World) -> None:
    for attack in attacks(world, TRAVEL)[:30]:
        home = world.home[attack.customer[0]]
        assert (np.hypot(attack.latitude - home[0], attack.longitude - home[1]) > 0.5).all()


def test_slow_fraud_goes_on_for_weeks_from_the_victims_home_with_ordinary_amounts(world: World) -> None:
    found = attacks(world, SLOW)
    for attack in found[:30]:
        home = world.home[attack.customer[0]]
        assert np.hypot(attack.latitude - home[0], attack.longitude - home[1]).max() < 0.2
        assert np.bincount(attack.day).max() <= 2
    usual = np.median(first_days(world, 3).cents)
    assert np.median(np.concatenate([attack.cents for attack in found])) < 3 * usual


def test_a_compromised_merchant_sees_fraud_for_weeks_among_genuine_purchases(compromised: Purchases) -> None:
    bought = compromised
    of_merchants = bought.rows(bought.fraud)
    busiest = np.bincount(of_merchants.merchant).argmax()
    there = of_merchants.rows(of_merchants.merchant == busiest)
    assert there.day.max() - there.day.min() >= 7
    meanwhile = bought.rows((bought.merchant == busiest) & (bought.day >= there.day.min()))
    assert 0.05 < meanwhile.fraud.mean() < 0.9


def test_a_fraud_is_known_one_to_seven_days_after_it_and_never_before(bought: Purchases) -> None:
    delay = (bought.known_at - bought.second)[bought.fraud]
    assert delay.min() >= DAY
    assert delay.max() <= 7 * DAY


def test_no_feature_knows_a_label_before_it_has_arrived(world: World, few: Purchases) -> None:
    """Labels that arrive from a day on do not change the features of that day or of any before."""
    transactions, known_at = as_transactions(world, few), EPOCH + few.known_at
    moment = EPOCH + 20 * DAY
    early = Labels(few.fraud & (known_at < moment), known_at)
    assert 0 < early.fraud.sum() < few.fraud.sum()
    with_all, with_early = fold(transactions, Labels(few.fraud, known_at)), fold(transactions, early)
    until = transactions.event_timestamp < moment + DAY
    assert (with_all[until] == with_early[until]).all()
    assert (with_all[~until] != with_early[~until]).any()


def test_no_feature_knows_what_comes_later(world: World, few: Purchases) -> None:
    half = len(few) // 2
    whole = fold(as_transactions(world, few), Labels(few.fraud, EPOCH + few.known_at))
    part = few.rows(slice(half))
    alone = fold(as_transactions(world, part), Labels(part.fraud, EPOCH + part.known_at))
    assert (whole[:half] == alone).all()


def test_training_folds_as_a_worker_would_whatever_the_day_it_keeps_from(
    world: World, few: Purchases
) -> None:
    labels = Labels(few.fraud, EPOCH + few.known_at)
    whole = fold(as_transactions(world, few), labels)
    assert whole.shape == (len(few), len(FEATURES))
    assert (fold(as_transactions(world, few), labels, keep_from=1_000) == whole[1_000:]).all()
    # The k-th purchase of a customer sees k - 1.
    customer = int(np.bincount(few.customer).argmax())
    known = whole[few.customer == customer][:, CUSTOMER_FEATURES.index("known")]
    assert known.tolist() == list(range(len(known)))


def test_weeks_of_training_validation_and_test_do_not_meet_and_a_delay_lies_between() -> None:
    weeks = Weeks(fill=9, training=7, validation=5, test=5)
    rows = commerce(World.made(1, customers=60, merchants=60), weeks)
    chosen = [rows.day[of(rows)] for of in (weeks.of_training, weeks.of_validation, weeks.of_test)]
    assert [(int(day.min()), int(day.max())) for day in chosen] == [(9, 15), (23, 27), (35, 39)]
    assert weeks.days == 40
    assert rows.transaction_timestamp.min() >= EPOCH + 9 * DAY_OF_HISTORY


def test_the_contracts_traffic_comes_with_the_history_it_would_have() -> None:
    rows = generator_rows(3_000, np.random.default_rng(1))
    assert (rows.feature("known")[:20] <= 20).all()
    assert rows.feature("count_1m")[2_900:].mean() > 5  # 300 a second, a hundred customers
    assert 0.1 < rows.fraud.mean() < 0.4
