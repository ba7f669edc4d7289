"""Several models in a replica: which one decides, one in its shadow, and calls that name one."""

import asyncio
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from antifraud import metrics
from antifraud.model import TRAINED, Model, load, save
from antifraud.models import Models, choose, load_all
from antifraud.server import Assessor
from antifraud.settings import Settings, WrongSettingError
from antifraud.simulate import simulate
from schemas.proto import antifraud_pb2 as pb
from tests.integration.second_model import second, write
from tests.unit.test_antifraud_model import FakeContext

ROWS = 400
COLUMNS = simulate(ROWS, seed=3)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found: Path = tmp_path_factory.mktemp("models")
    write(found)
    return found


@pytest.fixture(scope="module")
def trained() -> Model:
    return load(TRAINED)


@pytest.fixture(scope="module")
def other() -> Model:
    return second()


def asked(models: Models, **fields: Any) -> Any:
    request = pb.AntifraudAssesmentBatchRequest(**vars(COLUMNS), **fields)
    return asyncio.run(Assessor(models, Settings()).AntifraudAssesmentBatch(request, FakeContext()))


# Which models there are


def test_the_folders_own_model_is_served_until_another_one_is_named(
    folder: Path, trained: Model, other: Model
) -> None:
    settings = Settings(antifraud_models=str(folder))
    chosen = choose(settings)
    assert (chosen.served, chosen.shadow) == (trained.version, None)
    assert list(chosen.folders) == [trained.version, other.version]
    named = choose(Settings(antifraud_models=str(folder), antifraud_model=other.version))
    assert (named.served, named.shadow) == (other.version, None)
    models = load_all(named)
    assert models.served.version == other.version
    assert models.by_version.keys() == {trained.version, other.version}


def test_without_settings_the_model_that_knows_the_history_decides_alone(trained: Model) -> None:
    chosen = choose(Settings())
    assert (chosen.served, chosen.shadow, trained.form) == (trained.version, None, "v2")


def test_the_model_that_knows_none_is_there_to_be_named() -> None:
    versions = list(choose(Settings()).folders)
    assert [version.split("-")[0] for version in versions] == ["v2", "v1"]
    assert load_all(choose(Settings(antifraud_model=versions[1]))).served.form == "v1"


def test_a_model_in_its_own_shadow_is_scored_once(folder: Path, trained: Model) -> None:
    assert choose(Settings(antifraud_models=str(folder), antifraud_shadow=trained.version)).shadow is None


@pytest.mark.parametrize("setting", ["ANTIFRAUD_MODEL", "ANTIFRAUD_SHADOW"])
def test_a_wrong_name_is_refused_with_the_setting_and_the_versions_there_are(
    folder: Path, setting: str, trained: Model, other: Model
) -> None:
    with pytest.raises(WrongSettingError) as refused:
        choose(replace(Settings(antifraud_models=str(folder)), **{setting.lower(): "v1-00000000"}))  # type: ignore[arg-type]
    assert str(refused.value) == (
        f"{setting}: no model 'v1-00000000' in {folder}; there are: {trained.version}, {other.version}"
    )


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        WrongSettingError, match=rf"^ANTIFRAUD_MODEL: no model.json in {tmp_path}; there is none$"
    ):
        choose(Settings(antifraud_models=str(tmp_path)))


def test_a_wrong_name_ends_the_process_with_one_line_and_status_2(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "antifraud.server"],
        env=os.environ | {"ANTIFRAUD_MODELS": str(folder), "ANTIFRAUD_MODEL": "latest"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(
        f"antifraud: ANTIFRAUD_MODEL: no model 'latest' in {folder}; there are: v2-"
    )
    assert done.stderr.count("\n") == 1


def damaged(folder: Path, trained: Model, other: Model) -> None:
    """Its second model says one version and has the weights of another."""
    save(trained, folder)
    save(other, folder / "second")
    saved = json.loads((folder / "second" / "model.json").read_text())
    saved["layers"][0]["biases"][0] += 1
    (folder / "second" / "model.json").write_text(json.dumps(saved))


def test_a_damaged_model_that_nobody_has_chosen_is_left_out_and_the_log_says_so(
    tmp_path: Path, trained: Model, other: Model, caplog: pytest.LogCaptureFixture
) -> None:
    damaged(tmp_path, trained, other)
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "model.json").write_text("no JSON")
    models = load_all(choose(Settings(antifraud_models=str(tmp_path))))
    assert list(models.by_version) == [trained.version]
    (line,) = caplog.messages
    assert line.startswith(f"model {other.version} is left out, it cannot be loaded: ")


def test_a_damaged_model_that_is_chosen_is_refused_by_its_version(
    tmp_path: Path, trained: Model, other: Model
) -> None:
    damaged(tmp_path, trained, other)
    chosen = choose(Settings(antifraud_models=str(tmp_path), antifraud_shadow=other.version))
    with pytest.raises(ValueError, match=f"^model {other.version} cannot be loaded: "):
        load_all(chosen)


# A call that names its model


def test_a_call_is_scored_with_the_model_that_it_names_and_is_nobodys_verdict(
    trained: Model, other: Model
) -> None:
    models = Models(trained, other, {one.version: one for one in (trained, other)})
    before = metrics.REGISTRY.get_sample_value("payments_antifraud_verdicts_total", {"status": "accepted"})
    answer = asked(models, model_version=other.version)
    assert (answer.model_version, list(answer.score)) == (
        other.version,
        other.score(*COLUMNS.all()).tolist(),
    )
    assert [s == pb.REJECTED for s in answer.status] == [s < answer.threshold for s in answer.score]
    assert (len(answer.shadow_score), answer.shadow_version) == (0, "")
    after = metrics.REGISTRY.get_sample_value("payments_antifraud_verdicts_total", {"status": "accepted"})
    assert after == before


def test_an_unknown_model_is_refused_by_the_fields_name_and_the_known_ones_are_named(trained: Model) -> None:
    with pytest.raises(RuntimeError) as refused:
        asked(Models(trained, None, {trained.version: trained}), model_version="v9-0")
    assert str(refused.value) == (
        f"INVALID_ARGUMENT model_version: antifraud-1 has no model 'v9-0'; it has: {trained.version}"
    )


# The shadow


class Broken:
    """A model whose scores are of no use."""

    version = "v9-broken"

    def __init__(self, score: Any) -> None:
        self._score = score

    def score(self, **_: Any) -> Any:
        return self._score()


def test_the_shadow_is_scored_too_and_the_verdict_is_as_without_it(trained: Model, other: Model) -> None:
    alone, both = asked(Models(trained)), asked(Models(trained, other))
    assert list(both.shadow_score) == other.score(*COLUMNS.all()).tolist()
    assert both.shadow_version == other.version
    both.ClearField("shadow_score")
    both.ClearField("shadow_version")
    assert both == alone
    assert (alone.model_version, len(alone.status)) == (trained.version, ROWS)
    assert list(alone.score) != other.score(*COLUMNS.all()).tolist()


def test_a_shadow_that_fails_costs_no_verdict_and_is_one_line_in_the_log(
    trained: Model, caplog: pytest.LogCaptureFixture
) -> None:
    def fails() -> None:
        raise RuntimeError("no such tensor")

    service = Assessor(Models(trained, Broken(fails)), Settings())
    request = pb.AntifraudAssesmentBatchRequest(**vars(COLUMNS))
    for _ in range(3):
        answer = asyncio.run(service.AntifraudAssesmentBatch(request, FakeContext()))
        assert list(answer.score) == trained.score(*COLUMNS.all()).tolist()
        assert len(answer.shadow_score) == ROWS
        assert all(math.isnan(score) for score in answer.shadow_score)
    assert [line.split(";")[0] for line in caplog.messages] == ["the model in the shadow fails"]


def test_an_old_unary_call_knows_no_shadow(trained: Model, other: Model) -> None:
    service = Assessor(Models(trained, other), Settings())
    one = pb.AntifraudAssesmentRequest(value_in_cents=5, transaction_timestamp=7)
    answer = asyncio.run(service.AntifraudAssesment(one, FakeContext()))
    assert answer.model_version == trained.version
