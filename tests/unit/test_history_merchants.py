"""A merchant's features are those of whole days and known labels before the day, whatever came when."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history.customers import CustomerHistory
from history.features import MERCHANT_FEATURES
from history.merchants import MerchantDay, MerchantHistory, merchant_days
from tests.unit.history_reference import random_log, transactions

TODAY = 20_000  # days since 1970

#: day, merchant, transactions, cents, first visits
Day = tuple[int, str, int, int, int]
#: merchant, day of the transaction, whether it was fraud, day on which that was known
Label = tuple[str, int, bool, int]


def add(history: MerchantHistory, one: Day | Label) -> None:
    if len(one) == 5:
        day, merchant, *totals = one
        history.add_day(day, MerchantDay([merchant], *(np.array([total]) for total in totals)))
    else:
        history.label(*one)


def filled(*events: Day | Label) -> MerchantHistory:
    history = MerchantHistory()
    for one in events:
        add(history, one)
    return history


def features(history: MerchantHistory, day: int = TODAY, merchant: str = "m") -> dict[str, int]:
    return dict(zip(MERCHANT_FEATURES, history.features([merchant], day)[0].tolist(), strict=True))


def expected(days: list[Day], labels: list[Label], merchant: str, today: int) -> dict[str, int]:
    """Straight from the definitions."""
    days = [one for one in days if one[1] == merchant and one[0] < today]
    frauds = [(day, max(known, day)) for who, day, is_fraud, known in labels if who == merchant and is_fraud]
    known_frauds = [day for day, known in frauds if known < today]
    found = {
        "merchant_customers": sum(one[4] for one in days),
        "merchant_frauds": len(known_frauds),
        "merchant_days_since_first_fraud": today - min(known_frauds, default=today + 1),
        "merchant_days_since_last_fraud": today - max(known_frauds, default=today + 1),
    }
    for name, width in (("1d", 1), ("7d", 7), ("30d", 30)):
        found[f"merchant_count_{name}"] = sum(one[2] for one in days if one[0] >= today - width)
        window = range(today - 7 - width, today - 7)
        there = sum(one[2] for one in days if one[0] in window)
        fraud = sum(day in window and known <= day + 7 for day, known in frauds)
        found[f"merchant_fraud_permille_{name}"] = min(fraud * 1_000 // there, 1_000) if there else -1
    count = found["merchant_count_30d"]
    found["merchant_mean"] = sum(one[3] for one in days if one[0] >= today - 30) // count if count else -1
    return found


NEAR = st.integers(TODAY - 50, TODAY + 10)
MERCHANT = st.sampled_from(["m", "M", "\ud800"])
DAYS = st.tuples(
    NEAR | st.integers(0, TODAY), MERCHANT, st.integers(1, 9), st.integers(0, 2**50), st.integers(0, 5)
)
LABELS = st.tuples(NEAR, st.integers(-2, 20), MERCHANT, st.sampled_from([True, True, False])).map(
    lambda one: (one[2], one[0], one[3], one[0] + one[1])
)


@given(
    days=st.lists(DAYS, max_size=40),
    labels=st.lists(LABELS, max_size=40),
    today=st.integers(TODAY - 5, TODAY + 5),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=30, deadline=None)
def test_in_any_order_and_with_later_ones_there_already_the_definitions_numbers(
    days: list[Day], labels: list[Label], today: int, order: Any
) -> None:
    events: list[Day | Label] = [*days, *labels]
    order.shuffle(events)
    history = filled(*events)
    for merchant in ("m", "M", "\ud800", "nobody"):
        assert features(history, today, merchant) == expected(days, labels, merchant, today)


def test_a_day_sees_neither_itself_nor_a_later_one() -> None:
    found = features(filled(*((day, "m", 1, 100, 1) for day in range(TODAY - 2, TODAY + 3))))
    assert found["merchant_count_30d"] == found["merchant_customers"] == 2
    assert found["merchant_mean"] == 100


def test_a_label_counts_from_the_day_after_it_was_known() -> None:
    history = filled((TODAY - 9, "m", 4, 400, 0), ("m", TODAY - 9, True, TODAY - 3))
    assert [features(history, day)["merchant_frauds"] for day in (TODAY - 3, TODAY - 2)] == [0, 1]
    assert features(history)["merchant_days_since_first_fraud"] == 9
    assert features(history)["merchant_fraud_permille_7d"] == 250


def test_a_window_of_labels_ends_a_week_before() -> None:
    history = filled((TODAY, "m", 2, 0, 0), ("m", TODAY, True, TODAY))
    shares = [features(history, TODAY + later)["merchant_fraud_permille_1d"] for later in (7, 8, 9)]
    assert shares == [-1, 500, -1]


def test_a_fraud_that_is_found_after_a_week_is_counted_but_not_in_the_share() -> None:
    found = features(filled((TODAY - 20, "m", 2, 0, 0), ("m", TODAY - 20, True, TODAY - 12)))
    assert (found["merchant_frauds"], found["merchant_fraud_permille_30d"]) == (1, 0)


def test_a_merchant_without_history_has_no_share_no_mean_and_no_fraud() -> None:
    found = features(MerchantHistory())
    assert {name for name, value in found.items() if value == -1} == {
        "merchant_mean", "merchant_fraud_permille_1d", "merchant_fraud_permille_7d", "merchant_fraud_permille_30d",
        "merchant_days_since_first_fraud", "merchant_days_since_last_fraud",
    }  # fmt: skip
    assert {value for value in found.values() if value != -1} == {0}


def test_what_is_no_longer_kept_is_refused_and_what_is_kept_is_not() -> None:
    history = filled((TODAY, "m", 1, 1, 1))
    assert features(history, TODAY - 26)["merchant_count_1d"] == 0
    with pytest.raises(ValueError, match=f"day {TODAY - 27} is no longer kept: the newest one is {TODAY}"):
        features(history, TODAY - 27)


def test_parts_of_a_day_add_up_and_each_row_may_have_its_own_day() -> None:
    history = filled((TODAY, "m", 1, 10, 1), (TODAY, "m", 2, 20, 0), (TODAY + 1, "other", 5, 5, 5))
    names = ["m", "other", "m", "nobody"]
    found = history.features(names, np.array([TODAY + 1, TODAY + 2, TODAY + 9, TODAY]))
    assert found[:, 0].tolist() == [3, 5, 0, 0]
    assert found[:, MERCHANT_FEATURES.index("merchant_count_30d")].tolist() == [3, 5, 3, 0]


def test_many_merchants_are_told_apart() -> None:
    history, names = MerchantHistory(), [f"m{one}" for one in range(10_000)]
    ones = np.arange(10_000)
    for part in np.array_split(ones, 7):
        history.add_day(TODAY, MerchantDay([names[one] for one in part], part, part, part))
    assert history.features(names, TODAY + 1)[:, 0].tolist() == ones.tolist()


# From the customers' transactions to the merchants' days


@given(cuts=st.lists(st.integers(0, 400), max_size=5))
@settings(max_examples=6, deadline=None)
def test_any_batches_give_the_same_days(cuts: list[int]) -> None:
    log = random_log(400, 9, seed=3, pause=900)
    ends = sorted({*cuts, 400})
    customers, merchants = CustomerHistory(), MerchantHistory()
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        batch = log.rows(start, end)
        for day, totals in merchant_days(batch, customers.observe(batch)).items():
            merchants.add_day(day, totals)
    whole = MerchantHistory()
    for day, totals in merchant_days(log, CustomerHistory().observe(log)).items():
        whole.add_day(day, totals)
    names, day = sorted(set(log.merchant_ids)), int(log.event_timestamp.max()) // 86_400 + 1
    found = merchants.features(names, day)
    np.testing.assert_array_equal(found, whole.features(names, day))
    assert found[:, MERCHANT_FEATURES.index("merchant_count_30d")].sum() == 400


def test_a_day_has_count_sum_and_first_visits_of_each_merchant() -> None:
    second = TODAY * 86_400
    batch = transactions(
        {"event_timestamp": second - 1, "value_in_cents": 5},
        {"event_timestamp": second, "value_in_cents": 2**63 - 1},
        {"event_timestamp": second, "value_in_cents": 7, "customer_id": "other"},
        {"event_timestamp": second, "value_in_cents": 9, "merchant_id": "n"},
    )
    found = merchant_days(batch, CustomerHistory().observe(batch))
    assert {
        day: (one.merchant_ids, one.counts.tolist(), one.sums.tolist(), one.first_visits.tolist())
        for day, one in found.items()
    } == {
        TODAY - 1: (["m"], [1], [5], [1]),
        TODAY: (["m", "n"], [2, 1], [2**40 - 1 + 7, 9], [1, 1]),
    }
