"""A replica watches for drift beside its verdicts: it counts what its model is asked, and no verdict depends on it."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest

from antifraud import drift, metrics
from antifraud.model import Model, load
from antifraud.models import Models
from antifraud.server import Assessor
from antifraud.settings import Settings
from antifraud.simulate import simulate
from antifraud.watch import Watch, watch
from exercises.simulated import folder_of
from schemas.proto import antifraud_pb2 as pb
from tests.unit.test_antifraud_model import FakeContext

V2 = folder_of("v2-50dffdac")
ROWS = 400
COLUMNS = simulate(ROWS, seed=3)[0]
CALLS = -(-drift.LEAST // drift.MOST_OF_A_CALL) + 1


@pytest.fixture(scope="module")
def model() -> Model:
    return load(V2)


@pytest.fixture
def watched(model: Model) -> Watch:
    return watch(model.version, V2, model.input_names)


def shown(name: str = "payments_antifraud_psi") -> dict[str, float]:
    """The metric's values by input."""
    return {
        sample.labels.get("input", ""): sample.value
        for family in metrics.REGISTRY.collect()
        for sample in family.samples
        if sample.name == name and sample.labels["model_version"] == "v2-50dffdac"
    }


def records() -> float:
    return sum(shown("payments_antifraud_psi_records").values())


def assess(models: Models, watched: Watch, calls: int = 1, **fields: Any) -> Any:
    service = Assessor(models, Settings(), watched)
    request = pb.AntifraudAssesmentBatchRequest(**vars(COLUMNS), **fields)
    for _ in range(calls):
        answer = asyncio.run(service.AntifraudAssesmentBatch(request, FakeContext()))
    watched.show()
    return answer


def test_what_is_asked_of_the_served_model_is_shown_by_input_once_it_is_enough(
    model: Model, watched: Watch
) -> None:
    assess(Models(model), watched)
    assert (0 < records() < drift.LEAST, shown()) == (True, {})
    assess(Models(model), watched, CALLS)
    assert records() >= drift.LEAST
    assert {"amount", "known_unknown", "score"} < shown().keys()
    assert shown()["known_unknown"] > 1  # all of these are customers whom nobody knows


def test_an_answer_is_the_same_with_and_without_the_watch(model: Model, watched: Watch) -> None:
    assert assess(Models(model), watched) == assess(Models(model), Watch("", None))


def test_single_transactions_count_too(model: Model, watched: Watch) -> None:
    service = Assessor(Models(model), Settings(), watched)
    one = pb.AntifraudAssesmentRequest(value_in_cents=5, transaction_timestamp=7)
    asyncio.run(service.AntifraudAssesment(one, FakeContext()))
    watched.show()
    assert records() == 1


def test_a_call_that_names_its_model_is_a_backtest_and_not_counted(model: Model, watched: Watch) -> None:
    models = Models(model, None, {model.version: model})
    assess(models, watched, model_version=model.version)
    assert records() == 0


@pytest.mark.parametrize("part", ["count", "psi"])
def test_a_watch_that_fails_costs_no_verdict_and_is_one_line_in_the_log(
    part: str,
    model: Model,
    watched: Watch,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(drift.Window, part, fails)
    assert assess(Models(model), watched, 3) == assess(Models(model), Watch("", None))
    assert caplog.messages == ["drift is not watched any more; verdicts are not touched"]
    assert (records(), shown()) == (0, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "drift is not watched: v2-50dffdac has no distribution of its training"),
        ("{", "drift is not watched: "),
    ],
)
def test_without_the_file_or_with_a_damaged_one_a_replica_serves_and_says_so(
    text: str | None, said: str, model: Model, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copy(V2 / "model.json", tmp_path)
    if text:
        (tmp_path / "distribution.json").write_text(text)
    with caplog.at_level("INFO", logger="antifraud"):
        unwatched = watch(model.version, tmp_path, model.input_names)
    assert not unwatched.is_on
    assert [line.startswith(said) for line in caplog.messages] == [True]
    assert len(assess(Models(model), unwatched).score) == ROWS
