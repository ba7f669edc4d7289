"""The committed models: exact, invariant, finite; the service around them."""

import asyncio
import json
import random
import socket
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from antifraud import metrics
from antifraud.columns import FIELDS, MOST_ROWS
from antifraud.features import STEP, features
from antifraud.inputs import inputs, unknown_history
from antifraud.model import TRAINED, Layer, Model, load, save
from antifraud.models import Models
from antifraud.server import Assessor
from antifraud.settings import Settings
from antifraud.simulate import Columns, generator_traffic, simulate
from schemas.proto import antifraud_pb2 as pb

(V1,) = TRAINED.glob("v1-*")


class FakeContext:
    """Aborts as gRPC does: by raising."""

    async def abort(self, code: grpc.StatusCode, details: str) -> None:
        raise RuntimeError(f"{code.name} {details}")


@pytest.fixture(scope="module", params=[TRAINED, V1], ids=["served", "without history"])
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.param
    return found


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load(folder)


@pytest.fixture(scope="module")
def columns() -> Columns:
    return simulate(MOST_ROWS, seed=7)[0]


def batch(columns: Columns) -> pb.AntifraudAssesmentBatchRequest:
    return pb.AntifraudAssesmentBatchRequest(**vars(columns))


def test_a_score_is_the_same_bit_for_bit_alone_and_in_every_batch(model: Model, columns: Columns) -> None:
    whole = model.score(*columns.all())
    sizes = [*range(1, 70), 127, 128, 129, 255, 500, 999, 1000, 1001, 2048, 4999]
    for size in sizes:
        start = random.Random(size).randrange(MOST_ROWS - size + 1)
        part = model.score(*columns.rows(slice(start, start + size)).all())
        assert part.tobytes() == whole[start : start + size].tobytes(), size


def test_a_score_does_not_depend_on_the_order_of_the_rows(model: Model, columns: Columns) -> None:
    whole = model.score(*columns.all())
    backwards = model.score(*columns.rows(slice(None, None, -1)).all())
    assert backwards[::-1].tobytes() == whole.tobytes()


def test_the_network_is_exact_so_plain_integers_reach_the_same_sums(model: Model, columns: Columns) -> None:
    some = columns.rows(slice(200)).all()
    given = features(*some) if model.form == "v1" else inputs(*some, unknown_history(200))
    given = given.numpy()
    numbers = (given / STEP).astype(np.int64)
    assert (numbers * STEP == given).all()
    first = model.layers[0]
    exact = numbers.astype(object) @ first.weights.astype(object)
    in_doubles = given @ (first.weights * STEP)
    assert (exact.astype(np.float64) * STEP * STEP == in_doubles).all()


def test_ends_of_the_ranges_have_finite_scores(model: Model) -> None:
    ends = [-(2**63), -1, 0, 1, 2**62, 2**63 - 1]
    far = [-1.7e308, -5e-324, 0.0, 93.1334, 1.7e308]
    rows = [(value, time, lat, lon) for value in ends for time in ends for lat in far for lon in far]
    scores = model.score(*map(list, zip(*rows, strict=True)))
    assert ((scores >= 0) & (scores <= 1)).all()


@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.7])
def test_neither_verdict_is_rare_on_the_generators_traffic(model: Model, threshold: float) -> None:
    scores = model.score(*generator_traffic(20_000, np.random.default_rng(1)).all())
    assert 0.15 < (scores < threshold).mean() < 0.35


def test_weights_too_large_for_exact_sums_are_refused() -> None:
    huge = Layer(np.full((6, 1), 2**40), np.zeros(1, dtype=np.int64))
    with pytest.raises(ValueError, match="too large for exact sums"):
        Model([huge])


def test_the_bound_of_exact_sums_is_each_units_own() -> None:
    wide = Layer(np.array([[2**25, 1]] + [[0, 0]] * 5), np.zeros(2, dtype=np.int64))
    small, large = (
        Layer(np.array([[one], [other]]), np.zeros(1, dtype=np.int64))
        for one, other in ((1, 2**38), (2**38, 1))
    )
    Model([wide, small])  # 2**38 meets the unit that stays small
    with pytest.raises(ValueError, match="too large for exact sums"):
        Model([wide, large])


def test_a_model_that_does_not_match_its_version_is_refused(tmp_path: Any) -> None:
    saved = json.loads((TRAINED / "model.json").read_text())
    saved["layers"][0]["weights"][0][0] += 1
    (tmp_path / "model.json").write_text(json.dumps(saved))
    with pytest.raises(ValueError, match=saved["version"]):
        load(tmp_path)


def test_saving_the_loaded_model_gives_the_committed_bytes(model: Model, folder: Path, tmp_path: Any) -> None:
    save(model, tmp_path)
    assert (tmp_path / "model.json").read_bytes() == (folder / "model.json").read_bytes()


def test_the_evaluation_without_history_is_of_the_committed_model_and_beats_the_others() -> None:
    from antifraud.train import beats_the_others

    report, version = json.loads((V1 / "evaluation.json").read_text()), load(V1).version
    assert V1.name == report["model_version"] == version
    assert version in (V1 / "evaluation.md").read_text()
    assert beats_the_others(report)
    assert report["judges"]["model"]["roc_auc"] > 0.85


def test_what_scores_below_the_threshold_is_rejected(model: Model, columns: Columns) -> None:
    """A unary call answers as the batch does."""
    some = columns.rows(slice(50))
    for threshold in (0.0, 0.4, 0.5, 0.7, 1.0):
        service = Assessor(Models(model), Settings(approved_threshold=threshold, antifraud_replica="x"))
        answer = asyncio.run(service.AntifraudAssesmentBatch(batch(some), FakeContext()))
        assert [s == pb.REJECTED for s in answer.status] == [s < threshold for s in answer.score]
        assert (answer.threshold, answer.model_version, answer.replica) == (threshold, model.version, "x")
        for row in range(50):
            one = pb.AntifraudAssesmentRequest(**{name: field[row] for name, field in vars(some).items()})
            single = asyncio.run(service.AntifraudAssesment(one, FakeContext()))
            assert (single.status, single.score) == (answer.status[row], answer.score[row])


def counted(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def test_a_replica_counts_calls_by_outcome_and_its_verdicts(model: Model, columns: Columns) -> None:
    def seen() -> list[float]:
        calls = [
            counted("payments_antifraud_call_seconds_count", method="batch", outcome=outcome)
            for outcome in ("ok", "failed")
        ]
        verdicts = [
            counted("payments_antifraud_verdicts_total", status=status) for status in ("accepted", "rejected")
        ]
        return calls + verdicts

    before = seen()
    service = Assessor(Models(model), Settings())
    answer = asyncio.run(service.AntifraudAssesmentBatch(batch(columns.rows(slice(50))), FakeContext()))
    with pytest.raises(RuntimeError):
        asyncio.run(service.AntifraudAssesmentBatch(pb.AntifraudAssesmentBatchRequest(), FakeContext()))
    accepted = list(answer.status).count(pb.ACCEPTED)
    assert 0 < accepted < 50
    risen = [now - then for now, then in zip(seen(), before, strict=True)]
    assert risen == [1, 1, accepted, 50 - accepted]


def test_a_replica_whose_port_for_metrics_is_taken_says_so_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        metrics.serve("127.0.0.1", taken.getsockname()[1], "v1-x", 0.5)
    (line,) = caplog.messages
    assert line.startswith("no metrics: cannot listen on 127.0.0.1:")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"latitude": [0.0, float("nan")]}, "latitude: row 1 is not a finite number"),
        ({"longitude": [float("-inf"), 0.0]}, "longitude: row 0 is not a finite number"),
        ({"longitude": [0.0]}, "longitude: 1 rows, but value_in_cents has 2"),
        ({"transaction_timestamp": []}, "transaction_timestamp: 0 rows, but value_in_cents has 2"),
        (dict.fromkeys(FIELDS, ()), "value_in_cents: a batch has 1 to 5000 rows, not 0"),
        (dict.fromkeys(FIELDS, [0] * 5001), "value_in_cents: a batch has 1 to 5000 rows, not 5001"),
    ],
)
def test_a_wrong_batch_is_refused_by_the_fields_name(
    model: Model, changes: dict[str, Any], said: str
) -> None:
    fields: dict[str, Any] = dict.fromkeys(FIELDS, (1, 2)) | changes
    with pytest.raises(RuntimeError, match=f"^INVALID_ARGUMENT {said}"):
        asyncio.run(
            Assessor(Models(model), Settings()).AntifraudAssesmentBatch(
                pb.AntifraudAssesmentBatchRequest(**fields), FakeContext()
            )
        )


def test_a_wrong_single_transaction_is_refused_by_the_fields_name(model: Model) -> None:
    request = pb.AntifraudAssesmentRequest(latitude=float("inf"))
    with pytest.raises(RuntimeError, match=r"^INVALID_ARGUMENT latitude"):
        asyncio.run(Assessor(Models(model), Settings()).AntifraudAssesment(request, FakeContext()))
