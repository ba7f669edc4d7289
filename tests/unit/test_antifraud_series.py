"""The present series of frauds at a terminal, from what is known of it so many days later."""

from __future__ import annotations

import numpy as np
import pytest

from antifraud.training.handbook import Payments
from antifraud.training.series import MOST, NAMES, SCALE, series_inputs


def seen(day: int, *known: tuple[int, bool], delay: int = 7) -> dict[str, float]:
    """What a payment of that day sees of payments of other days: its terminal's (day, fraud); -1 is unknown."""
    rows = [*known, (day, False)]
    days, fraud = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    none = np.zeros(len(rows), np.int64)
    payments = Payments(none, none, none + 1_000, days * 86_400, fraud)
    inputs = series_inputs(payments, np.arange(len(rows)) == len(known), delay)[0]
    values, unknown = np.split(inputs, 2)
    return {
        name: -1 if lacks else value * SCALE
        for name, value, lacks in zip(NAMES, values, unknown, strict=True)
    }


def test_a_series_goes_on_from_its_first_fraud_after_what_was_genuine() -> None:
    found = seen(40, (5, True), (20, False), (25, True), (30, True))
    assert found == {
        "days_since_genuine": 20,
        "frauds_since_genuine": 2,
        "days_since_first_since_genuine": 15,
        "days_since_first_of_37": 35,
        "frauds_of_37": 3,
        "days_since_series": 35,
    }


def test_a_fraud_long_ago_is_none_of_the_present_series() -> None:
    found = seen(60, (1, True), (10, False), (15, False), (45, True))
    assert (found["days_since_first_of_37"], found["days_since_series"]) == (15, 15)


def test_a_series_has_ended_once_a_payment_is_known_to_be_genuine() -> None:
    found = seen(40, (25, True), (26, True), (32, False))
    assert (found["frauds_since_genuine"], found["days_since_first_since_genuine"]) == (0, -1)
    assert found["days_since_genuine"] == 8


@pytest.mark.parametrize(("delay", "frauds"), [(7, 1), (8, 0)])
def test_what_is_not_known_yet_is_not_seen(delay: int, frauds: int) -> None:
    assert seen(40, (33, True), delay=delay)["frauds_since_genuine"] == frauds


def test_nothing_known_is_unknown_and_what_is_long_ago_is_bounded() -> None:
    assert set(seen(40).values()) == {-1, 0}
    assert seen(400, (1, False))["days_since_genuine"] == MOST
