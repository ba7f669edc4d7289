"""Fits the network: several small ones at once, averaged, which together are one network of the served form."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from antifraud.features import STEP, in_steps
from antifraud.model import Layer
from antifraud.training.steps import steps

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Plan:
    """How to fit: chosen on validation weeks."""

    members: int = 4
    hidden: tuple[int, int] = (48, 16)
    epochs: int = 12
    batch: int = 512
    rate: float = 3e-3
    decay: float = 1e-4  # of weights, a step's share of the rate (AdamW)
    steps: int = 12  # first units that begin as steps, two for each
    steepness: float = 8.0  # of these: one by the width in standard deviations
    #: Of a step in its own second unit: Adam moves a weight a little at a time, and a step may have to weigh much.
    height: float = 4.0


def fit(inputs: Floats, fraud: Flags | Floats, weights: Floats, seed: int, plan: Plan) -> list[Layer]:
    """Return layers whose output is the logit of *good*; the members differ in their beginnings and their order.

    `inputs` are rows x inputs; `fraud` may be shares between 0 and 1; `weights` say how much a row counts. The same
    seed on the same machine gives the same layers.
    """
    tf.keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    mean, spread = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 2**-6)
    standard = (inputs - mean) / spread
    parts = _members(inputs.shape[1], plan, share=float(np.average(1 - fraud, weights=weights)))
    _begin_with_steps(parts, steps(standard, fraud, weights, plan.steps), plan)
    rows = np.column_stack([1 - fraud, weights])
    _descend(tf.constant(standard, tf.float32), tf.constant(rows, tf.float32), parts, plan)
    return _one_network([part.numpy().astype(np.float64) for part in parts], mean, spread)


def _members(width: int, plan: Plan, share: float) -> list[tf.Variable]:
    """Return weights and biases of all members, the first axis the member's number."""
    parts = []
    for inputs, outputs in ((width, plan.hidden[0]), plan.hidden, (plan.hidden[1], 1)):
        start = tf.random.normal([plan.members, inputs, outputs], stddev=(2 / inputs) ** 0.5)
        parts += [tf.Variable(start), tf.Variable(tf.zeros([plan.members, 1, outputs]))]
    parts[-1].assign(tf.fill(parts[-1].shape, float(np.log(share / (1 - share)))))
    return parts


def _begin_with_steps(parts: list[tf.Variable], found: list[tuple[int, float]], plan: Plan) -> None:
    """Set pairs of first units so that their difference rises from 0 to 1 around each threshold.

    As far as there are second units, each step has one of its own, from where it counts for itself.
    """
    w1, b1, w2, _, w3, _ = (part.numpy() for part in parts)
    direct = min(len(found), w2.shape[2] // 2)
    w2[:, :, :direct] = 0
    w3[:, :direct] = 0
    for step, (number, threshold) in enumerate(found):
        pair = slice(2 * step, 2 * step + 2)
        w1[:, :, pair] = 0
        w1[:, number, pair] = plan.steepness
        b1[:, 0, pair] = np.array([0.5, -0.5]) - threshold * plan.steepness
        if step < direct:
            w2[:, pair, step] = (plan.height, -plan.height)
    for part, start in zip((parts[0], parts[1], parts[2], parts[4]), (w1, b1, w2, w3), strict=True):
        part.assign(start)


def _logits(x: tf.Tensor, parts: list[tf.Variable]) -> tf.Tensor:
    for weights, biases in zip(parts[:-2:2], parts[1:-2:2], strict=True):
        x = tf.nn.relu(tf.matmul(x, weights) + biases)
    return (tf.matmul(x, parts[-2]) + parts[-1])[:, :, 0]


def _descend(standard: tf.Tensor, rows: tf.Tensor, parts: list[tf.Variable], plan: Plan) -> None:
    count = standard.shape[0]
    steps = max(1, count // plan.batch)
    schedule = tf.keras.optimizers.schedules.CosineDecay(plan.rate, plan.epochs * steps)
    optimizer = tf.keras.optimizers.AdamW(schedule, weight_decay=plan.decay)
    optimizer.exclude_from_weight_decay(var_list=parts[1::2])
    optimizer.build(parts)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow is not typed for us
    def epoch() -> None:
        order = tf.stack([tf.random.shuffle(tf.range(count)) for _ in range(plan.members)])
        for step in tf.range(steps):
            chosen = order[:, step * plan.batch : (step + 1) * plan.batch]
            x, (good, weight) = tf.gather(standard, chosen), tf.unstack(tf.gather(rows, chosen), axis=2)
            with tf.GradientTape() as tape:
                losses = tf.nn.sigmoid_cross_entropy_with_logits(good, _logits(x, parts))
                loss = tf.reduce_sum(losses * weight) / tf.cast(tf.shape(chosen)[1], tf.float32)
            optimizer.apply(tape.gradient(loss, parts), parts)

    for _ in range(plan.epochs):
        epoch()


def _one_network(parts: list[Floats], mean: Floats, spread: Floats) -> list[Layer]:
    """Return the members side by side: the first layer takes raw inputs, the last one averages."""
    w1, b1, w2, b2, w3, b3 = parts
    w1 = w1 / spread[:, None]
    b1 = b1[:, 0] - mean @ w1
    members, _, first = w1.shape
    second = w2.shape[2]
    block = np.zeros((members * first, members * second))
    for member in range(members):
        block[member * first :][:first, member * second :][:, :second] = w2[member]
    return [
        _layer(np.concatenate(list(w1), axis=1), b1.reshape(-1)),
        _layer(block, b2.reshape(-1)),
        _layer(w3.reshape(-1, 1) / members, np.array([b3.mean()])),
    ]


def _layer(weights: Floats, biases: Floats) -> Layer:
    return Layer(in_steps(weights), in_steps(biases))


def logits(layers: list[Layer], inputs: Floats) -> Floats:
    """Return the logits in plain numpy, for trials: what the served network computes, before its sigmoid."""
    for layer in layers[:-1]:
        inputs = np.maximum(
            np.round((inputs @ (layer.weights * STEP) + layer.biases * STEP) / STEP) * STEP, 0
        )
    result: Floats = (inputs @ (layers[-1].weights * STEP) + layers[-1].biases * STEP)[:, 0]
    return result
