"""Inputs with history: exact, the same alone and in a batch, sane where nothing is known."""

from __future__ import annotations

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from antifraud.features import STEP
from antifraud.inputs import FLAGS, LARGEST, NAMES, inputs, unknown_history
from antifraud.model import TRAINED, Layer, Model, load, save
from antifraud.training.commerce import generator_rows
from antifraud.training.rows import Rows, with_history_lost
from history.features import CUSTOMER_FEATURES, FEATURES, MERCHANT_FEATURES

SIZES = [1, 2, 3, 7, 64, 127, 500, 1_999]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return with_history_lost(
        generator_rows(2_000, np.random.default_rng(1)), np.random.default_rng(2), 0.2, 0.2
    )


@pytest.fixture(scope="module")
def model() -> Model:
    rng = np.random.default_rng(3)
    widths = (len(NAMES), 24, 8, 1)
    layers = [
        Layer(rng.integers(-4_000, 4_000, (a, b)), rng.integers(-4_000, 4_000, b))
        for a, b in pairwise(widths)
    ]
    return Model(layers, "v2")


def one(**given: int) -> dict[str, float]:
    """The inputs of one transaction of 100.00 with this history; what is not given is unknown."""
    history = unknown_history(1)
    for name, value in given.items():
        history[0, FEATURES.index(name)] = value
    whole, place = tf.int64, tf.float64
    four = [
        tf.constant([value], kind) for value, kind in ((10_000, whole), (0, whole), (0, place), (0, place))
    ]
    value, timestamp, latitude, longitude = four
    found = inputs(value, timestamp, latitude, longitude, tf.constant(history))
    return dict(zip(NAMES, found.numpy()[0].tolist(), strict=True))


def test_a_score_with_history_is_the_same_bit_for_bit_alone_and_in_every_batch(
    model: Model, rows: Rows
) -> None:
    whole = model.score(*rows.columns())
    assert len(np.unique(whole)) > 100
    for size in SIZES:
        start = random.Random(size).randrange(len(rows) - size + 1)
        part = model.score(*rows.rows(np.arange(start, start + size)).columns())
        assert part.tobytes() == whole[start : start + size].tobytes(), size
    backwards = model.score(*rows.rows(np.arange(len(rows))[::-1]).columns())
    assert backwards[::-1].tobytes() == whole.tobytes()


def test_every_input_is_a_multiple_of_the_step_within_the_bound_so_plain_integers_reach_the_same_sums(
    model: Model, rows: Rows
) -> None:
    found = rows.inputs()
    assert found.shape == (len(rows), len(NAMES))
    assert np.abs(found).max() <= LARGEST
    numbers = (found / STEP).astype(np.int64)
    assert (numbers * STEP == found).all()
    first = model.layers[0]
    exact = numbers[:200].astype(object) @ first.weights.astype(object)
    assert (exact.astype(np.float64) * STEP * STEP == found[:200] @ (first.weights * STEP)).all()


def test_a_client_that_knows_no_history_gets_the_score_of_an_unknown_one(model: Model, rows: Rows) -> None:
    four = rows.columns()[:4]
    alone = model.score(*four)
    assert alone.tobytes() == model.score(*four, unknown_history(len(rows))).tobytes()
    assert (alone != model.score(*rows.columns())).any()


def test_a_model_that_takes_no_history_scores_as_before_whatever_the_history(rows: Rows) -> None:
    (folder,) = TRAINED.glob("v1-*")
    old = load(folder)
    assert old.score(*rows.columns()).tobytes() == old.score(*rows.columns()[:4]).tobytes()


def test_any_integer_and_any_finite_place_has_a_score(model: Model) -> None:
    ends = [-(2**63), -2, -1, 0, 1, 2**40, 2**62, 2**63 - 1]
    history = np.array([[end] * len(FEATURES) for end in ends] * len(ends))
    value = np.repeat(ends, len(ends))
    far = np.where(value % 2 == 0, 1.7e308, -1.7e308)
    scores = model.score(value, value, far, far, history)
    assert ((scores >= 0) & (scores <= 1)).all()


def test_what_is_unknown_is_zero_and_has_its_flag() -> None:
    nothing = one()
    assert all(nothing[f"{name}_unknown"] == 1 for name in FLAGS)
    of_history = set(NAMES) - {"amount", "hour_sin", "hour_cos", "weekend", "latitude", "longitude"}
    assert {nothing[name] for name in of_history if not name.endswith("_unknown")} == {0.0}
    # A first transaction is not an unknown history.
    first = one(known=0, count_30d=0, sum_30d=0)
    assert (first["known_unknown"], first["median_unknown"], first["mean_unknown"]) == (0, 1, 1)
    assert one(merchant_frauds=0)["merchant_days_since_first_fraud_unknown"] == 1
    assert one(merchant_days_since_first_fraud=0)["merchant_days_since_first_fraud_unknown"] == 0


def test_amounts_enter_as_ratios_of_logarithms_and_as_spreads_from_the_mean() -> None:
    usual = one(known=9, count_30d=4, sum_30d=40_000, median=10_000, spread=2_000)
    assert usual["amount_by_mean"] == usual["amount_by_median"] == usual["deviation"] == 0
    small = one(known=9, count_30d=4, sum_30d=10_000, median=2_500, spread=2_500)
    assert small["amount_by_mean"] == pytest.approx(2, abs=0.1)
    assert small["deviation"] == 1.5  # three spreads above the mean
    assert one(merchant_fraud_permille_7d=512)["merchant_fraud_permille_7d"] == 1
    assert one(merchant_days_since_last_fraud=400)["merchant_days_since_last_fraud"] == 4


def test_every_feature_of_a_history_enters(rows: Rows) -> None:
    """A feature that the network never sees would be computed for nothing."""
    base = dict.fromkeys(FEATURES, 40)
    before = one(**base)
    unseen = [
        name
        for name in FEATURES
        if one(**{**base, name: 3}) == before and one(**{**base, name: -1}) == before
    ]
    assert unseen == ["sum_1m", "largest_1m", "largest_10m"]


def test_history_is_lost_of_all_or_of_the_merchant_alone(rows: Rows) -> None:
    of_customers = rows.history[:, : len(CUSTOMER_FEATURES)]
    of_merchants = rows.history[:, len(CUSTOMER_FEATURES) :]
    assert of_merchants.shape[1] == len(MERCHANT_FEATURES)
    lost, of_merchant = (of_customers == -1).all(axis=1), (of_merchants == -1).all(axis=1)
    assert 0.15 < lost.mean() < 0.25
    assert (of_merchant | ~lost).all()
    assert 0.15 < (of_merchant & ~lost).mean() < 0.25


def test_a_model_is_saved_with_the_names_of_its_inputs_and_refused_with_others(
    model: Model, tmp_path: Path
) -> None:
    save(model, tmp_path)
    again = load(tmp_path)
    assert again.version == model.version
    assert again.version.startswith("v2-")
    text = (tmp_path / "model.json").read_text()
    (tmp_path / "model.json").write_text(text.replace('"speed"', '"haste"'))
    with pytest.raises(ValueError, match="has other inputs"):
        load(tmp_path)
    (tmp_path / "model.json").write_text(text.replace('"v2-', '"v9-'))
    with pytest.raises(ValueError, match="has other inputs"):
        load(tmp_path)


def test_weights_too_large_for_exact_sums_are_refused_by_the_bound_of_these_inputs() -> None:
    too_large = round(2**53 * STEP / len(NAMES) / LARGEST)
    for weight, exact in ((too_large // 2, True), (too_large * 2, False)):
        layer = Layer(np.full((len(NAMES), 1), weight), np.zeros(1, dtype=np.int64))
        if exact:
            Model([layer], "v2")
        else:
            with pytest.raises(ValueError, match="too large for exact sums"):
                Model([layer], "v2")
