"""Two networks as one: a payment is fraud for what its customer does, or for what is known of its merchant.

Fitted together on few frauds, a network mixes the two up. Here each side has its own inputs, and one more layer says
"either": log odds of fraud are the other side's, and log(1 + e^d) more where the one side's are d higher.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from antifraud.features import in_steps
from antifraud.model import Layer

Ints = NDArray[np.int64]

#: Between these log(1 + e^d) is taken as linear.
KNOTS = np.array([-6.0, -4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 6.0])


class Side(NamedTuple):
    """A network, and its inputs: the numbers of their columns."""

    layers: list[Layer]
    inputs: list[int]


def either(one: Side, other: Side, width: int) -> Side:
    """Return one network over `width` inputs, a layer deeper than its two sides, whose output is the logit of *good*.

    Both have as many layers; what is returned may be a side in its turn.
    """
    pairs = list(zip(one.layers, other.layers, strict=True))
    first, *between = pairs[:-1]
    spread = [_spread(layer, side, width) for layer, side in zip(first, (one, other), strict=True)]
    layers = [
        Layer(np.hstack([layer.weights for layer in spread]), _biases(*spread)),
        *(Layer(_blocks(a.weights, b.weights), _biases(a, b)) for a, b in between),
        _compared(*pairs[-1]),
        _output(),
    ]
    return Side(layers, list(range(width)))


def _spread(layer: Layer, side: Side, width: int) -> Layer:
    weights = np.zeros((width, layer.weights.shape[1]), np.int64)
    weights[side.inputs] = layer.weights
    return Layer(weights, layer.biases)


def _biases(*layers: Layer) -> Ints:
    return np.concatenate([layer.biases for layer in layers])


def _blocks(one: Ints, other: Ints) -> Ints:
    return np.block(
        [
            [one, np.zeros((len(one), other.shape[1]), np.int64)],
            [np.zeros((len(other), one.shape[1]), np.int64), other],
        ]
    )


def _compared(one: Layer, other: Layer) -> Layer:
    """The other's log odds, those above 0 and those below; by how much the one's are over them, from each knot on."""
    own = np.concatenate(
        [np.zeros_like(one.weights), -other.weights]
    )  # a network's output is the logit of good
    ahead = np.concatenate([-one.weights, other.weights])
    more, odds = int(other.biases[0] - one.biases[0]), -int(other.biases[0])
    weights = np.hstack([own, -own, *[ahead for _ in KNOTS]])
    return Layer(weights, np.array([odds, -odds, *(more - in_steps(KNOTS))], np.int64))


def _output() -> Layer:
    values = np.logaddexp(0, KNOTS)
    slopes = np.concatenate([[0], np.diff(values) / np.diff(KNOTS), [1]])
    weights = np.concatenate([[1], [-1], np.diff(slopes)])
    return Layer(-in_steps(weights[:, None]), -in_steps(values[:1]))
