"""The trained network: loaded once, served from one concrete function, always the same score for a row."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from antifraud import features, inputs, models
from antifraud.features import STEP, rounded
from history.features import FEATURES

TRAINED = models.TRAINED
#: Of inputs and layers: add one when a change gives the same weights other scores. v1 knows no history.
FORMS = {"v1": features.NAMES, "v2": inputs.NAMES}
LARGEST = {"v1": features.LARGEST, "v2": inputs.LARGEST}

_LOGIT_LIMIT, _LOGIT_STEPS = 16, 512  # the sigmoid's table: its end, and its entries per unit
_LARGEST_EXACT = 2.0**53 * STEP * STEP


@dataclass(frozen=True)
class Layer:
    """Weights and biases as multiples of STEP: exact, and a file that people can compare."""

    weights: NDArray[np.int64]  # inputs x outputs
    biases: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Return the layer as JSON's lists."""
        return {"weights": self.weights.tolist(), "biases": self.biases.tolist()}

    @classmethod
    def from_json(cls, layer: dict[str, Any]) -> Layer:
        """Return the layer of to_json."""
        return cls(np.array(layer["weights"], dtype=np.int64), np.array(layer["biases"], dtype=np.int64))


class Model:
    """A network with its version; its form says which inputs it takes."""

    def __init__(self, layers: list[Layer], form: str = "v1") -> None:
        _check_exact(layers, form)
        self.layers, self.form = layers, form
        self.version = version_of(layers, form)
        # One signature with an open number of rows: traced here, never again.
        signature = [tf.TensorSpec([None], kind) for kind in (tf.int64, tf.int64, tf.float64, tf.float64)]
        signature.append(tf.TensorSpec([None, len(FEATURES)], tf.int64))
        function = tf.function(lambda *columns: _scores_and_inputs(layers, form, columns), autograph=False)
        self._function = function.get_concrete_function(*signature)

    @property
    def input_names(self) -> tuple[str, ...]:
        """What the network is given, by name."""
        return FORMS[self.form]

    def score(
        self,
        value_in_cents: ArrayLike,
        transaction_timestamp: ArrayLike,
        latitude: ArrayLike,
        longitude: ArrayLike,
        history: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Return each transaction's probability of being good; coordinates must be finite.

        `history`: rows x history.FEATURES, int64, -1 for what is unknown; None if nothing is known.
        """
        scores, _ = self._asked(value_in_cents, transaction_timestamp, latitude, longitude, history)
        found: NDArray[np.float64] = scores.numpy()
        return found

    def score_and_inputs(self, **columns: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what `score` does, and what the network was given: rows x input_names."""
        scores, given = self._asked(**columns)
        return scores.numpy(), given.numpy()

    def _asked(
        self,
        value_in_cents: ArrayLike,
        transaction_timestamp: ArrayLike,
        latitude: ArrayLike,
        longitude: ArrayLike,
        history: ArrayLike | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        value = tf.constant(value_in_cents, tf.int64)
        if history is None:
            history = inputs.unknown_history(value.shape[0])
        found: tuple[tf.Tensor, tf.Tensor] = self._function(
            value,
            tf.constant(transaction_timestamp, tf.int64),
            tf.constant(latitude, tf.float64),
            tf.constant(longitude, tf.float64),
            tf.constant(history, tf.int64),
        )
        return found


def load(folder: Path = TRAINED) -> Model:
    """Return the model saved in the folder; a file that does not match its version, or other inputs, are refused."""
    saved = json.loads((folder / "model.json").read_text())
    form = saved["version"].split("-")[0]
    if saved["inputs"] != list(FORMS.get(form, ())):
        raise ValueError(f"{folder / 'model.json'}: {saved['version']} has other inputs than this code makes")
    model = Model([Layer.from_json(layer) for layer in saved["layers"]], form)
    if model.version != saved["version"]:
        raise ValueError(f"{folder / 'model.json'}: says {saved['version']}, its weights are {model.version}")
    return model


def save(model: Model, folder: Path) -> None:
    """Write the model; the same model gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    layers = ",\n".join(json.dumps(layer.to_json()) for layer in model.layers)
    text = f'{{"version": "{model.version}", "inputs": {json.dumps(FORMS[model.form])}, "layers": [\n{layers}\n]}}\n'
    (folder / "model.json").write_text(text)


def score_inputs(layers: list[Layer], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of inputs that no history has, for trials: the same exact network. At most 8, in STEPs."""
    _check_exact(layers, "v2")
    scores: NDArray[np.float64] = _scores(layers, tf.constant(rows)).numpy()
    return scores


def version_of(layers: list[Layer], form: str) -> str:
    """Return the version of these weights, derived from their content, so that no two models share one."""
    content = json.dumps([layer.to_json() for layer in layers])
    return f"{form}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def _inputs(form: str, columns: Any) -> tf.Tensor:
    return features.features(*columns[:4]) if form == "v1" else inputs.inputs(*columns)


def _scores_and_inputs(layers: list[Layer], form: str, columns: Any) -> tuple[tf.Tensor, tf.Tensor]:
    given = _inputs(form, columns)
    return _scores(layers, given), given


def _scores(layers: list[Layer], inputs: tf.Tensor) -> tf.Tensor:
    for layer in layers[:-1]:
        inputs = tf.nn.relu(rounded(_dense(layer, inputs)))
    logits = _dense(layers[-1], inputs)[:, 0]
    logits = tf.clip_by_value(logits, -_LOGIT_LIMIT, _LOGIT_LIMIT)
    entry = tf.cast(tf.round((logits + _LOGIT_LIMIT) * _LOGIT_STEPS), tf.int64)
    return tf.gather(tf.constant(_sigmoid_table()), entry)


def _dense(layer: Layer, inputs: tf.Tensor) -> tf.Tensor:
    return tf.matmul(inputs, tf.constant(layer.weights * STEP)) + tf.constant(layer.biases * STEP)


def _sigmoid_table() -> NDArray[np.float64]:
    logits = np.arange(-_LOGIT_LIMIT * _LOGIT_STEPS, _LOGIT_LIMIT * _LOGIT_STEPS + 1) / _LOGIT_STEPS
    return np.round(1 / (1 + np.exp(-logits)), 6)


def _check_exact(layers: list[Layer], form: str) -> None:
    """Refuse weights with which a sum of products might need more bits than a double has."""
    largest = np.full(len(layers[0].weights), LARGEST[form])  # of each input, then of each unit
    for layer in layers:
        largest = largest @ np.abs(layer.weights * STEP) + np.abs(layer.biases) * STEP
        if largest.max() >= _LARGEST_EXACT:
            raise ValueError(f"weights too large for exact sums: up to {largest.max():.3g}")
