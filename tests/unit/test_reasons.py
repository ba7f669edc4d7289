"""A rejection says what it hangs on, in words, and only what the model itself bears out."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from antifraud.reasons import GROUNDS, MOST, reasons
from app.models.reasons import Reason, as_text, from_text
from history.features import FEATURES, UNKNOWN

AT = {name: number for number, name in enumerate(FEATURES)}
USUAL = dict.fromkeys(FEATURES, 0) | {
    "known": 90, "median": 4_000, "count_30d": 60, "sum_30d": 240_000, "habit_permille": 300,
    "distance_km": 3, "seconds_between": 1_200, "new_merchant": 0, "merchant_days_since_last_fraud": UNKNOWN,
}  # fmt: skip


def batch(*rows: dict[str, int]) -> dict[str, Any]:
    """Transactions of customers as usual, but for these values; `amount` is the transaction's own."""
    return {
        "value_in_cents": np.array([row.get("amount", 4_000) for row in rows], np.int64),
        "transaction_timestamp": np.zeros(len(rows), np.int64),
        "latitude": np.zeros(len(rows)),
        "longitude": np.zeros(len(rows)),
        "history": np.array([[{**USUAL, **row}[name] for name in FEATURES] for row in rows], np.int64),
    }


def score(weights: dict[str, float]) -> Any:
    """A model that takes a weight off for each value that is not as usual."""

    def scored(
        value_in_cents: NDArray[np.int64], history: NDArray[np.int64], **_: Any
    ) -> NDArray[np.float64]:
        off = np.zeros(len(history))
        for name, weight in weights.items():
            column = value_in_cents if name == "amount" else history[:, AT[name]]
            off += weight * (column > (8_000 if name in ("amount", "sum_24h") else 0))
        return 1 - off

    return scored


def said(model: Any, *rows: dict[str, int], threshold: float = 0.0) -> list[tuple[int, str, int, str]]:
    given = batch(*rows)
    scores = model(**given)
    found = reasons(model, given, scores, np.arange(len(rows)), threshold)
    return [(one.row, one.feature, one.value, one.words) for one in found]


@pytest.mark.parametrize(
    ("row", "feature", "value", "words"),
    [
        ({"amount": 52_000}, "value_in_cents", 52_000, "520.00, 13 times the customer's usual"),
        ({"count_1m": 4, "count_10m": 9}, "count_1m", 4, "4 other purchases in the last minute"),
        ({"count_10m": 1}, "count_10m", 1, "1 other purchase in the last 10 minutes"),
        ({"count_1h": 7}, "count_1h", 7, "7 other purchases in the last hour"),
        ({"sum_24h": 99_000}, "sum_24h", 99_000, "990.00 spent in the last day, 80.00 on average"),
        ({"distance_km": 2_900}, "distance_km", 2_900, "2,900 km from the last place, 20 minutes after it"),
        ({"new_merchant": 1}, "new_merchant", 1, "a merchant that the customer has not bought from lately"),
        ({"small_permille": 781}, "small_permille", 781, "78 % of the last purchases are below 5.00"),
        ({"merchant_frauds": 5, "merchant_days_since_last_fraud": 9}, "merchant_frauds", 5,
         "5 known frauds at this merchant, the last one 9 days ago"),
    ],
)  # fmt: skip
def test_a_value_that_the_verdict_hangs_on_is_said_in_words(
    row: dict[str, int], feature: str, value: int, words: str
) -> None:
    name = next(iter(row))
    assert said(score({name: 0.4}), row) == [(0, feature, value, words)]


def test_what_does_not_move_the_score_is_no_reason() -> None:
    assert said(score({"new_merchant": 0.4}), {"distance_km": 2_900, "new_merchant": 1}) == [
        (0, "new_merchant", 1, "a merchant that the customer has not bought from lately")
    ]
    assert said(score({}), {"distance_km": 2_900, "amount": 900_000}) == []


def test_of_several_the_strongest_come_first_and_no_more_than_three() -> None:
    row = {"amount": 52_000, "new_merchant": 1, "distance_km": 700, "small_permille": 500}
    weights = {"amount": 0.1, "new_merchant": 0.3, "distance_km": 0.2, "small_permille": 0.05}
    assert [feature for _, feature, _, _ in said(score(weights), row)] == [
        "new_merchant", "distance_km", "value_in_cents",
    ]  # fmt: skip
    assert MOST == 3


@pytest.mark.parametrize(
    ("threshold", "named"),
    [
        (0.4, ["new_merchant", "distance_km", "value_in_cents"]),
        (0.54, ["new_merchant", "distance_km"]),
        (0.6, ["new_merchant"]),
        (0.9, ["new_merchant"]),
    ],
)
def test_only_what_would_have_had_it_accepted_is_a_reason_or_else_the_strongest(
    threshold: float, named: list[str]
) -> None:
    row = {"amount": 52_000, "new_merchant": 1, "distance_km": 700, "small_permille": 500}
    weights = {
        "amount": 0.1,
        "new_merchant": 0.3,
        "distance_km": 0.2,
        "small_permille": 0.05,
    }  # a score of 0.35
    found = said(score(weights), row, threshold=threshold)
    assert [feature for _, feature, _, _ in found] == named


def test_each_row_of_a_batch_has_its_own() -> None:
    weights = {"new_merchant": 0.3, "distance_km": 0.2}
    rows = [{"new_merchant": 1}, {}, {"distance_km": 99, "new_merchant": 1}]
    assert [(row, feature) for row, feature, _, _ in said(score(weights), *rows)] == [
        (0, "new_merchant"), (2, "new_merchant"), (2, "distance_km"),
    ]  # fmt: skip


@pytest.mark.parametrize("known", [UNKNOWN, 0])
def test_of_a_customer_whom_nobody_knows_nothing_is_said(known: int) -> None:
    assert said(score({"amount": 0.4}), {"amount": 99_000_000, "known": known}) == []


def test_any_values_are_borne() -> None:
    worst = [
        dict.fromkeys(FEATURES, value) | {"known": 1, "amount": 2**63 - 1} for value in (-1, 0, 2**63 - 1)
    ]
    said(score({"amount": 0.4}), *worst)
    assert len(GROUNDS) == 8


def test_a_batch_without_histories_has_no_reasons() -> None:
    given = batch({})
    del given["history"]
    assert reasons(score({}), given, np.ones(1), np.arange(1), 2.0) == []


def test_they_come_back_from_the_stores_as_they_went_in() -> None:
    some = [Reason(feature="new_merchant", value=1, words='a "merchant", São Paulo')]
    assert from_text(as_text(some)) == some
    assert (as_text([]), from_text(None)) == (None, [])
