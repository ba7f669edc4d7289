"""The autoscaler's arithmetic follows the manifests, and a backlog drains as the formula says."""

from __future__ import annotations

import json
from dataclasses import replace
from math import inf
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from exercises import scaling_report
from exercises.autoscaler import MANIFEST, Autoscaler, Rules, divisors, rules
from exercises.drain import World, expected_steps, formula, simulate
from tests.support import kubernetes

RULES = Rules(20_000, 2, 12, 15, 30, 500, 60, 600, 75, 600)
MINUTES_10 = 600.0
SHARES = (0.5, 0.8, 0.95)


def world(share: float, scaled: Rules = RULES) -> World:
    rate = scaled.threshold / scaling_report.TOLERATED
    return World(share * scaled.least * rate, rate, scaling_report.START)


def test_the_numbers_are_those_that_kubectl_renders() -> None:
    (rendered,) = kubernetes.of_kind("overlays/production", "ScaledObject").values()
    assert rules(rendered) == rules() == RULES
    assert rendered["spec"]["advanced"]["scalingModifiers"]["target"] == f"{RULES.threshold:.0f}"


def test_another_number_in_the_manifest_is_another_rule() -> None:
    manifest: dict[str, Any] = yaml.safe_load(MANIFEST.read_text())
    manifest["spec"]["maxReplicaCount"] = 24
    assert rules(manifest) == replace(RULES, most=24)


@settings(deadline=None)
@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_more_lag_never_asks_for_fewer_workers_and_never_for_more_than_there_are_partitions(
    one: float, other: float
) -> None:
    fewer, more = (RULES.asked(lag) for lag in sorted((one, other)))
    assert RULES.least <= fewer <= more <= RULES.most
    assert more in divisors(RULES.most)


@pytest.mark.parametrize(
    ("lag", "workers"), [(0, 2), (40_000, 2), (40_001, 3), (100_000, 6), (140_000, 12), (1e9, 12)]
)
def test_a_worker_more_for_each_twenty_thousand(lag: float, workers: int) -> None:
    assert RULES.asked(lag) == workers


def decided(scaler: Autoscaler, lags: list[float]) -> list[int]:
    return [scaler.decide(15.0 * poll, lag) for poll, lag in enumerate(lags)]


def test_a_lag_of_a_moment_is_no_reason_for_more_workers() -> None:
    assert decided(Autoscaler(RULES, 2), [0, 0, 1e6, 0, 0, 1e6, 0]) == [2] * 7


def test_a_lag_that_stays_has_its_workers_after_the_window() -> None:
    assert decided(Autoscaler(RULES, 2), [0, 0, 0, 1e6, 1e6, 1e6, 1e6]) == [2, 2, 2, 2, 2, 12, 12]


def test_no_more_come_at_a_time_than_the_policy_has() -> None:
    doubles = replace(RULES, up_percent=100)
    assert decided(Autoscaler(doubles, 2), [0, 0, 0, *[1e6] * 12]) == [2] * 5 + [4] * 4 + [8] * 4 + [12] * 2


def test_they_go_after_ten_quiet_minutes_and_a_quarter_stays() -> None:
    scaler = Autoscaler(RULES, 12)
    assert decided(scaler, [1e6, *[0] * 100])[-1] == 2
    assert [workers for _, workers in scaler.events] == [3, 2]
    (first, _), (second, _) = scaler.events
    assert first >= 600  # after the last poll that asked for twelve
    assert second - first >= 600


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e7), min_size=1, max_size=120))
def test_workers_are_within_the_limits_whatever_the_lag(lags: list[float]) -> None:
    assert all(RULES.least <= workers <= RULES.most for workers in decided(Autoscaler(RULES, 2), lags))


@pytest.mark.parametrize("share", SHARES)
def test_an_outage_of_ten_minutes_drains_as_predicted_with_three_scale_events(share: float) -> None:
    drain = simulate(rules(), world(share), MINUTES_10, until=7200)
    predicted = formula(drain.backlog, world(share), expected_steps(rules(), world(share), drain.backlog))
    assert drain.drained == pytest.approx(predicted, rel=0.2)
    assert drain.events_until_drained == 1
    assert len(drain.events) == 3  # there and back
    assert drain.events[-1][1] == rules().least


def test_the_ways_that_were_left_take_longer_and_change_more_often() -> None:
    doubles = replace(RULES, up_percent=100, down_percent=50)
    before = simulate(doubles, world(0.8), MINUTES_10, until=7200)
    assert len(before.events) == 6
    assert before.drained > simulate(RULES, world(0.8), MINUTES_10).drained


def test_nothing_is_scaled_during_the_outage() -> None:
    drain = simulate(RULES, world(0.8), MINUTES_10)
    assert min(at for at, _ in drain.events) > 0


@settings(deadline=None)
@given(st.floats(1, 1e7), st.floats(0.1, 0.99))
def test_the_formula_is_the_backlog_by_what_is_left_of_the_workers(backlog: float, share: float) -> None:
    one = world(share)
    assert formula(backlog, one, [(0.0, 2)]) == pytest.approx(backlog / (2 * one.rate - one.load))
    assert formula(backlog, one, [(0.0, 2), (60.0, 12)]) <= formula(backlog, one, [(0.0, 2)]) * (1 + 1e-9)


def test_a_load_beyond_all_workers_is_never_drained() -> None:
    assert formula(1000, world(1.2), [(0.0, 2)]) == inf
    assert simulate(RULES, world(7.0), 60).drained == inf


def test_a_load_above_the_fewest_workers_goes_up_and_down_for_ever() -> None:
    """The lag says nothing of the load while it is kept small: docs/capacity.md says what that costs."""
    drain = simulate(RULES, world(1.2), 0.0, until=7200)
    assert len([at for at, _ in drain.events if at <= 12 * 60]) == 4
    assert len(drain.events) > 40


def test_the_page_is_what_the_report_has() -> None:
    """`python -m exercises.scaling_report` writes it anew."""
    found = json.loads(scaling_report.JSON.read_text())
    assert scaling_report.page(found) == scaling_report.PATH.read_text()
