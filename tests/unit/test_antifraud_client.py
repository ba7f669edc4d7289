"""Antifraud's answers: an outage ends in rejections; nonsense and a refused call are held and reject nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from app.assessment import client
from app.assessment.client import NOTHING_KNOWN, Antifraud
from app.assessment.fallback import AssessmentFallback
from app.errors import AntifraudUnavailable, PipelineError, Transient, WrongAnswer
from app.models.assessment import Assessment
from app.observability.transaction_logger import TransactionLogger
from app.settings import Settings
from infra.native.certificates import authority, certificate
from schemas.proto import antifraud_pb2 as pb
from tests.support.tls_server import showing
from tests.unit import virtual_time
from tests.unit.samples import transaction

OUTAGE = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "RESOURCE_EXHAUSTED")
TWO = [transaction(transaction_id="a"), transaction(transaction_id="b")]


class Stub:
    """Returns canned answers."""

    def __init__(self, answer: Any):
        self.answer = answer

    async def AntifraudAssesmentBatch(self, _: Any, timeout: float, metadata: Any) -> Any:  # noqa: N802  # the contract's name
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def answer(status: Sequence[Any] = (0, 1), score: Sequence[float] = (0.9, 0.1)) -> Any:
    return pb.AntifraudAssesmentBatchResponse(
        status=status, score=score, threshold=0.5, model_version="m", replica="antifraud-1"
    )


def refusal(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details="so it is")


def assessed(given: Any) -> list[Assessment]:
    antifraud = Antifraud(Settings())
    antifraud._stub = Stub(given)
    return asyncio.run(antifraud.assess(TWO))


def test_a_valid_answer_is_one_assessment_each_in_order() -> None:
    assert [(one.verdict, one.score) for one in assessed(answer())] == [("accepted", 0.9), ("rejected", 0.1)]


@pytest.mark.parametrize("code", list(grpc.StatusCode), ids=lambda code: code.name)
def test_only_a_missing_answer_is_an_outage(code: grpc.StatusCode) -> None:
    with pytest.raises(AntifraudUnavailable if code.name in OUTAGE else WrongAnswer):
        assessed(refusal(code))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (answer(status=[0], score=[0.9]), "1 statuses and 1 scores to 2 transactions"),
        (answer(status=[0, 1, 1], score=[0.9, 0.1, 0.1]), "3 statuses"),
        (answer(status=[0, 1], score=[0.9]), "1 scores"),
        (answer(status=[], score=[]), "0 statuses"),
        (answer(status=[0, 7]), "a status it may not have, 7, in row 1"),
        (answer(score=[float("nan"), 0.1]), "no probability, nan, in row 0"),
        (answer(score=[1.5, 0.1]), "no probability, 1.5"),
        (answer(score=[0.9, -0.1]), "no probability, -0.1"),
        (answer(status=[1, 0]), "status 1 to score 0.9"),
    ],
)
def test_an_impossible_answer_is_reported_with_its_replica(given: Any, says: str) -> None:
    with pytest.raises(WrongAnswer, match=f"antifraud-1.*{says}"):
        assessed(given)


def test_a_wrong_answer_rejects_nobody_however_long_it_lasts() -> None:
    async def wrong(*_: Any) -> Sequence[Assessment]:
        raise WrongAnswer("UNIMPLEMENTED")

    async def situation() -> None:
        asking = AssessmentFallback(wrong, TransactionLogger(False), when_down="reject", outage_timeout=5)
        for _ in range(10):
            with pytest.raises(WrongAnswer):
                await asking.assess(TWO, NOTHING_KNOWN)
            await asyncio.sleep(5)

    virtual_time.run(situation())


def test_a_wrong_answer_is_held_and_retried_and_no_record_is_blamed_for_it() -> None:
    assert issubclass(WrongAnswer, Transient)


# The shadow


def beside(scores: Sequence[float], version: str = "m-2") -> Any:
    given = answer()
    given.shadow_score.extend(scores)
    given.shadow_version = version
    return given


def test_what_a_second_model_says_goes_along_and_decides_nothing() -> None:
    found = assessed(beside([0.1, 0.9]))
    assert [(one.verdict, one.score, one.model_version) for one in found] == [
        ("accepted", 0.9, "m"),
        ("rejected", 0.1, "m"),
    ]
    assert [(one.shadow_score, one.shadow_version) for one in found] == [(0.1, "m-2"), (0.9, "m-2")]


def test_each_assessment_says_how_many_were_in_the_call() -> None:
    assert [one.batch_size for one in assessed(answer())] == [2, 2]


def test_without_a_second_model_nothing_is_said_of_one() -> None:
    assert {(one.shadow_score, one.shadow_version) for one in assessed(answer())} == {(None, None)}


@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), float("-inf"), 1.5, -0.1])
def test_what_is_no_probability_of_the_second_models_is_no_score_and_holds_nothing(nothing: float) -> None:
    found = assessed(beside([0.1, nothing]))
    assert [one.verdict for one in found] == ["accepted", "rejected"]
    assert [(one.shadow_score, one.shadow_version) for one in found] == [(0.1, "m-2"), (None, "m-2")]


@pytest.mark.parametrize("scores", [[], [0.1], [0.1, 0.2, 0.3]])
def test_a_wrong_number_of_the_second_models_scores_is_none(scores: list[float]) -> None:
    found = assessed(beside(scores))
    assert [one.verdict for one in found] == ["accepted", "rejected"]
    assert [(one.shadow_score, one.shadow_version) for one in found] == [(None, "m-2")] * 2


# One model decides a batch


class Replicas:
    """Two replicas in turn; each has a model, of which it says what that one is called."""

    def __init__(self, *decide: tuple[str, float]) -> None:
        self.decide = list(decide)
        self.asked: list[int] = []

    async def AntifraudAssesmentBatch(self, request: Any, timeout: float, metadata: Any) -> Any:  # noqa: N802
        rows = len(request.value_in_cents)
        model, threshold = self.decide[len(self.asked) % len(self.decide)]
        self.asked.append(rows)
        return pb.AntifraudAssesmentBatchResponse(
            status=[pb.ACCEPTED] * rows,
            score=[0.99] * rows,
            threshold=threshold,
            model_version=model,
            replica="r",
        )


MANY = [transaction(transaction_id=str(n)) for n in range(client.SPLIT_FROM)]
HALVES, WHOLE = [client.SPLIT_FROM // 2] * 2, [client.SPLIT_FROM]


def models_of(antifraud: Antifraud) -> set[tuple[Any, Any]]:
    """By whom a batch was decided."""
    found = asyncio.run(antifraud.assess(MANY))
    assert len(found) == len(MANY)
    return {(one.model_version, one.threshold) for one in found}


@pytest.mark.parametrize("other", [("m-2", 0.5), ("m-1", 0.4)], ids=["another model", "another threshold"])
def test_halves_that_were_decided_otherwise_are_asked_again_as_one_call(other: tuple[str, float]) -> None:
    antifraud = Antifraud(Settings())
    antifraud._stub = stub = Replicas(("m-1", 0.5), other)
    assert models_of(antifraud) == {("m-1", 0.5)}
    assert stub.asked == HALVES + WHOLE


def test_while_the_replicas_differ_no_batch_is_asked_twice_and_later_it_is_split_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("app.assessment.client.time.monotonic", lambda: now[0])
    antifraud = Antifraud(Settings())
    antifraud._stub = stub = Replicas(("m-1", 0.5), ("m-2", 0.5))
    models_of(antifraud)
    stub.asked.clear()
    for _ in range(3):
        assert len(models_of(antifraud)) == 1
    assert stub.asked == WHOLE * 3
    antifraud._stub = stub = Replicas(("m-2", 0.5))
    now[0] += client.WHOLE_FOR
    assert models_of(antifraud) == {("m-2", 0.5)}
    assert stub.asked == HALVES


def test_where_tls_is_why_nobody_answers_nothing_is_decided(tmp_path: Path) -> None:
    """Envoy speaks TLS and this worker does not: no outage, so no transaction is rejected for it."""

    async def failures() -> list[PipelineError]:
        with showing(certificate(authority(tmp_path), tmp_path)) as port:
            antifraud = Antifraud(Settings(antifraud_address=f"127.0.0.1:{port}"))
            await antifraud.open()
            found: list[PipelineError] = []
            for _ in range(50):
                try:
                    await antifraud.assess(TWO)
                except PipelineError as exc:
                    found.append(exc)
                if isinstance(found[-1], WrongAnswer):
                    break
                await asyncio.sleep(0.1)
            await antifraud.close()
            return found

    *_, last = asyncio.run(failures())
    assert isinstance(last, WrongAnswer)
    assert "speaks TLS: see ANTIFRAUD_TLS" in str(last)
    assert "Nothing is decided" in str(last)
