"""Two networks that are one: it says what either of them says."""

from __future__ import annotations

import numpy as np
import pytest

from antifraud.inputs import NAMES
from antifraud.model import Layer, Model
from antifraud.training.either import Side, either
from antifraud.training.network import logits


def network(inputs: int, seed: int) -> list[Layer]:
    random = np.random.default_rng(seed)
    widths = [(inputs, 8), (8, 6), (6, 1)]
    return [
        Layer(random.integers(-9_000, 9_000, width), random.integers(-9_000, 9_000, width[1]))
        for width in widths
    ]


def test_its_log_odds_are_those_of_one_or_the_other() -> None:
    one, other = Side(network(3, 1), [0, 2, 4]), Side(network(2, 2), [1, 3])
    x = np.round(np.random.default_rng(3).normal(0, 1, (2_000, 6)) * 4_096) / 4_096
    a, b = (-logits(side.layers, x[:, side.inputs]) for side in (one, other))
    assert (a > b + 1).any()
    assert (b > a + 1).any()
    assert -logits(either(one, other, 6), x) == pytest.approx(np.logaddexp(a, b), abs=0.1)


def test_it_is_a_network_as_a_replica_serves_it() -> None:
    layers = either(Side(network(3, 1), [0, 2, 4]), Side(network(2, 2), [1, 3]), len(NAMES))
    assert [layer.weights.shape[1] for layer in layers] == [16, 12, 13, 1]
    assert 0 <= Model(layers, "v2").score([500], [0], [0.0], [0.0])[0] <= 1
