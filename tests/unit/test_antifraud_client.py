"""Antifraud's answers: an outage ends in rejections; nonsense and a refused call are held and reject nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
import pytest

from app.assessment.client import NOTHING_KNOWN, Antifraud
from app.assessment.fallback import AssessmentFallback
from app.errors import AntifraudUnavailable, Transient, WrongAnswer
from app.models.assessment import Assessment
from app.observability.transaction_logger import TransactionLogger
from app.settings import Settings
from schemas.proto import antifraud_pb2 as pb
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
