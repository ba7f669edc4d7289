"""Networks that are one: it says what either of them says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from antifraud.features import STEP
from antifraud.inputs import NAMES
from antifraud.model import Layer, Model
from antifraud.training.by_hand import above, unseen
from antifraud.training.either import Side, either
from antifraud.training.network import logits
from antifraud.training.series import MOST, SCALE


def network(inputs: int, seed: int) -> list[Layer]:
    random = np.random.default_rng(seed)
    widths = [(inputs, 8), (8, 6), (6, 1)]
    return [
        Layer(random.integers(-9_000, 9_000, width), random.integers(-9_000, 9_000, width[1]))
        for width in widths
    ]


@pytest.fixture
def x() -> NDArray[np.float64]:
    return np.round(np.random.default_rng(3).normal(0, 1, (2_000, 6)) * 4_096) / 4_096


def test_its_log_odds_are_those_of_one_or_the_other(x: NDArray[np.float64]) -> None:
    one, other = Side(network(3, 1), [0, 2, 4]), Side(network(2, 2), [1, 3])
    a, b = (-logits(side.layers, x[:, side.inputs]) for side in (one, other))
    assert (a > b + 1).any()
    assert (b > a + 1).any()
    assert -logits(either(one, other, 6).layers, x) == pytest.approx(np.logaddexp(a, b), abs=0.1)


def test_it_may_be_a_side_of_another_one(x: NDArray[np.float64]) -> None:
    sides = [Side(network(2, seed), [seed, seed + 1]) for seed in range(4)]
    odds = [-logits(side.layers, x[:, side.inputs]) for side in sides]
    whole = either(either(sides[0], sides[1], 6), either(sides[2], sides[3], 6), 6)
    assert -logits(whole.layers, x) == pytest.approx(np.logaddexp.reduce(odds), abs=0.2)


def test_it_is_a_network_as_a_replica_serves_it() -> None:
    layers = either(Side(network(3, 1), [0, 2, 4]), Side(network(2, 2), [1, 3]), len(NAMES)).layers
    assert [layer.weights.shape[1] for layer in layers] == [16, 12, 13, 1]
    assert 0 <= Model(layers, "v2").score([500], [0], [0.0], [0.0])[0] <= 1


def test_above_a_threshold_it_is_sure_and_below_it_says_nothing() -> None:
    side = above(0.25, 200.0, 3)
    x = np.array([[-8.0], [0.25 - STEP], [0.25], [0.25 + STEP], [8.0]])
    assert side.inputs == [3]
    assert -logits(side.layers, x) == pytest.approx([-16, -16, -16, np.log(200), np.log(200)], abs=0.001)


def test_what_is_unseen_at_a_terminal_grows_with_the_days_for_which_nothing_is_known() -> None:
    side, days = unseen(0.0002, 4, 5), np.array([7, 8, 9, 11, 15, 28, 40])
    x = np.vstack([np.column_stack([days / SCALE, np.zeros(len(days))]), [0, 1]])  # the last one is unknown
    expected = np.log(0.0002 * np.append(days, MOST))
    assert side.inputs == [4, 5]
    assert -logits(side.layers, x) == pytest.approx(expected, abs=0.05)
