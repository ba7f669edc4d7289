"""Training and evaluation, on a small sample."""

import json
from pathlib import Path

import numpy as np
import pytest

from antifraud import train
from antifraud.evaluation import average_precision, best_rule, roc_auc
from antifraud.model import Layer, Model
from antifraud.simulate import Columns, fraud_probability, generator_traffic, simulate


def run(folder: Path, rows: int, seed: int = 1) -> dict[str, bytes]:
    assert train.main(["--rows", str(rows), "--seed", str(seed), "--out", str(folder)]) == 0
    return {file.name: file.read_bytes() for file in folder.glob("v1-*/*")}


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "EPOCHS", 4)
    first, second = run(tmp_path / "a", 20_000), run(tmp_path / "b", 20_000)
    assert set(first) == {"model.json", "evaluation.json", "evaluation.md"}
    assert first == second
    report = json.loads(first["evaluation.json"])
    assert report["judges"]["model"]["roc_auc"] > report["judges"]["best rule on one field"]["roc_auc"] + 0.05
    assert run(tmp_path / "c", 20_000, seed=2)["model.json"] != first["model.json"]


def test_a_model_that_does_not_beat_the_others_fails_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    says_nothing = Model([Layer(np.zeros((6, 1), dtype=np.int64), np.zeros(1, dtype=np.int64))])
    monkeypatch.setattr(train, "train", lambda *_: says_nothing)
    assert train.main(["--rows", "4000", "--seed", "1", "--out", str(tmp_path)]) == 1
    assert "does not beat" in capsys.readouterr().err


def test_figures_of_known_rankings() -> None:
    positive = np.array([True, False, True, False])
    assert roc_auc(positive, np.array([4.0, 3.0, 2.0, 1.0])) == 0.75
    assert roc_auc(positive, np.zeros(4)) == 0.5
    assert average_precision(positive, np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(positive, np.zeros(4)) == 0.5


@pytest.mark.parametrize("figure", ["roc_auc", "average_precision"])
@pytest.mark.parametrize("above", [True, False])
def test_the_best_rule_finds_the_field_that_decides(figure: str, *, above: bool) -> None:
    columns = generator_traffic(2_000, np.random.default_rng(3))
    rule = best_rule(columns, (columns.latitude > 30) == above, figure)
    assert (rule.field, rule.above) == ("latitude", above)
    assert rule.threshold == pytest.approx(30, abs=2)
    measure = {"roc_auc": roc_auc, "average_precision": average_precision}[figure]
    assert measure((columns.latitude > 30) == above, rule.suspects(columns)) > 0.97


def test_the_simulation_is_its_seeds_and_covers_daily_life_and_the_generators_ranges() -> None:
    columns, good = simulate(20_000, seed=5)
    again, good_again = simulate(20_000, seed=5)
    assert all((a == b).all() for a, b in zip(columns.all(), again.all(), strict=True))
    assert (good == good_again).all()
    assert 0.05 < 1 - good.mean() < 0.3
    assert np.quantile(columns.value_in_cents, 0.1) < 10_000
    assert columns.value_in_cents.max() > 1_345_000_000
    assert columns.latitude.min() < -50
    assert columns.longitude.max() > 170


def test_fraud_is_where_several_things_meet() -> None:
    """Far from the usual areas and at night, not on a weekend: each alone is harmless."""
    thursday_3_am, saturday_3_am, thursday_3_pm = 10_800, 2 * 86_400 + 10_800, 54_000
    columns = Columns(
        np.full(4, 100_000),
        np.array([thursday_3_am, saturday_3_am, thursday_3_pm, thursday_3_am]),
        np.array([-60.0, -60.0, -60.0, 8.0]),
        np.array([0.0, 0.0, 0.0, 6.0]),
    )
    night_and_far, *others = fraud_probability(columns)
    assert night_and_far > 0.5
    assert max(others) < 0.2
