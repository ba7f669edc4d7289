"""Antifraud by gRPC through Envoy: one call for a whole batch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import grpc.aio
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray

from app import connections
from app.errors import AntifraudUnavailable, PipelineError, UnknownModel, WrongAnswer
from app.models.assessment import Assessment, Verdict
from app.models.reasons import Reason, as_text
from app.models.transaction import Transaction
from app.observability import metrics, tracing
from app.observability.timing import Timed
from app.settings import Settings
from history.features import FEATURES, VERSION
from schemas.proto import antifraud_pb2, antifraud_pb2_grpc

#: From this many on a batch is split in two calls, so that both replicas work on it.
SPLIT_FROM = 400
#: Seconds for which no batch is split once its halves were decided by two models or thresholds: while one replica after
#: the other gets another model.
WHOLE_FOR = 5.0

#: Of one transaction.
REASONS_MOST = 3

SERVICE = "antifraud.v1.AntifraudAPI"
BATCH = "AntifraudAssesmentBatch"
_RPC = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": BATCH}

#: How a replica's refusal of a model that it does not have begins.
MODEL_VERSION = "model_version: "

NOTHING_KNOWN = np.empty((0, len(FEATURES)), np.int64)

_VERDICTS: dict[int, Verdict] = {antifraud_pb2.ACCEPTED: "accepted", antifraud_pb2.REJECTED: "rejected"}

#: Nobody answers, or not in time. Every other status is a word of somebody who does.
_OUTAGE = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}

#: Retries, health and balancing are Envoy's; this channel only has to find Envoy again quickly.
_CHANNEL = (
    ("grpc.enable_http_proxy", 0),  # Envoy is a neighbour: https_proxy is for the world outside
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)


class Scored(NamedTuple):
    """What a named model says: a probability for each, and below which one the replica rejects."""

    scores: list[float]
    threshold: float


class Antifraud:
    """One channel to Envoy, on the event loop that uses it."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._timeout = settings.assess_timeout
        self._address = settings.antifraud_address
        self._channel: Any = None
        self._stub: Any = None
        self._whole_until = 0.0  # monotonic
        self._refusal = connections.Refusal(lambda: _look(settings))

    async def open(self) -> None:
        """Make the channel; it connects by itself and again, so that nothing can fail here."""
        self._channel = channel(self._settings, self._address, _CHANNEL)
        self._stub = antifraud_pb2_grpc.AntifraudAPIStub(self._channel)

    async def close(self) -> None:
        """Close the channel."""
        self._refusal.close()
        if self._channel is not None:
            await self._channel.close()

    async def ping(self) -> None:
        """A replica behind Envoy says that it serves, or AntifraudUnavailable; WrongAnswer."""
        check = health_pb2_grpc.HealthStub(self._channel).Check
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=self._timeout)
        except grpc.aio.AioRpcError as exc:
            raise self._failed(exc) from exc
        self._refusal.ended()
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise AntifraudUnavailable(f"the replica behind {self._address} does not serve yet")

    async def assess(
        self, transactions: Sequence[Transaction], features: NDArray[np.int64] = NOTHING_KNOWN
    ) -> list[Assessment]:
        """An assessment of each, in order; AntifraudUnavailable when a call is not answered in time, or WrongAnswer.

        One model and one threshold decide all of them. `features`: a row of history.features for each transaction;
        without any, nothing is known of the customers.
        """
        if len(transactions) < SPLIT_FROM or time.monotonic() < self._whole_until:
            return await self._call(transactions, features)
        half = len(transactions) // 2
        first, second = await asyncio.gather(
            self._call(transactions[:half], features[:half]),
            self._call(transactions[half:], features[half:]),
        )
        if _decided_by(first) == _decided_by(second):
            return first + second
        self._whole_until = time.monotonic() + WHOLE_FOR
        return await self._call(transactions, features)

    async def _call(
        self, transactions: Sequence[Transaction], features: NDArray[np.int64]
    ) -> list[Assessment]:
        metrics.ASSESSMENT_RECORDS.observe(len(transactions))
        with Timed(metrics.ASSESSMENT_SECONDS):
            return await self._answer(transactions, features)

    async def scores(
        self, transactions: Sequence[Transaction], features: NDArray[np.int64], model_version: str
    ) -> Scored:
        """What a model, named by its version, says of each: nobody's verdict, in one call.

        UnknownModel; as `assess`.
        """
        answer = await self._ask(transactions, features, model_version)
        if answer.model_version != model_version:
            raise WrongAnswer(
                f"antifraud behind {self._address} (replica {answer.replica!r}) was asked to score with "
                f"{model_version} and answers with {answer.model_version}: is it of this version?"
            )
        return Scored(list(answer.score), answer.threshold)

    async def _answer(
        self, transactions: Sequence[Transaction], features: NDArray[np.int64]
    ) -> list[Assessment]:
        answer = await self._ask(transactions, features)
        by, model, threshold = answer.replica, answer.model_version, answer.threshold
        shadow_version = answer.shadow_version or None
        metrics.ASSESSMENTS.labels(by).inc(len(transactions))
        reasons = _reasons(answer.reasons)
        return [
            Assessment(
                _VERDICTS[status],
                score,
                threshold,
                model,
                by,
                reasons=reasons.get(row),
                shadow_score=shadow_score,
                shadow_version=shadow_version,
                batch_size=len(transactions),
            )
            for row, (status, score, shadow_score) in enumerate(
                zip(answer.status, answer.score, _shadow(answer), strict=True)
            )
        ]

    async def _ask(
        self, transactions: Sequence[Transaction], features: NDArray[np.int64], model_version: str = ""
    ) -> antifraud_pb2.AntifraudAssesmentBatchResponse:
        request = antifraud_pb2.AntifraudAssesmentBatchRequest(
            value_in_cents=[t["value_in_cents"] for t in transactions],
            transaction_timestamp=[t["transaction_timestamp"] for t in transactions],
            latitude=[t["latitude"] for t in transactions],
            longitude=[t["longitude"] for t in transactions],
            history=features.ravel().tolist(),
            history_version=VERSION,
            model_version=model_version,
        )
        try:
            with tracing.calling(f"{SERVICE}/{BATCH}", _RPC):
                answer: antifraud_pb2.AntifraudAssesmentBatchResponse = (
                    await self._stub.AntifraudAssesmentBatch(
                        request, timeout=self._timeout, metadata=tracing.metadata()
                    )
                )
        except grpc.aio.AioRpcError as exc:
            raise self._failed(exc) from exc
        self._refusal.ended()
        if fault := _fault(answer, len(transactions)):
            raise WrongAnswer(
                f"antifraud behind {self._address} (replica {answer.replica!r}, model {answer.model_version!r}) "
                f"answers {fault}: nothing is decided until that replica is fixed or stopped"
            )
        return answer

    def _failed(self, exc: grpc.aio.AioRpcError) -> PipelineError:
        if exc.code() == grpc.StatusCode.INVALID_ARGUMENT and (exc.details() or "").startswith(MODEL_VERSION):
            return UnknownModel((exc.details() or "").removeprefix(MODEL_VERSION))
        if exc.code() in _OUTAGE:
            # What no replica was asked is not decided: this ends when somebody has put the settings right.
            if why := self._refusal.reason():
                return WrongAnswer(f"antifraud cannot be asked: {why}. Nothing is decided until it can")
            return AntifraudUnavailable(f"{exc.code().name}: {exc.details()}")
        return WrongAnswer(
            f"antifraud behind {self._address} refuses the call, {exc.code().name}: {exc.details()}. Nothing is "
            "decided until it takes it: does ANTIFRAUD_ADDRESS name Envoy, and is antifraud of this version?"
        )


def _look(settings: Settings) -> str | None:
    host, _, port = settings.antifraud_address.rpartition(":")
    if not host or not port.isdecimal():
        return None
    context = connections.new_context(settings) if settings.antifraud_tls else None
    if context:
        context.set_alpn_protocols(["h2"])  # gRPC hangs up on whoever names no protocol
    return connections.what_is_wrong(host, int(port), context, "ANTIFRAUD_TLS")


def channel(settings: Settings, address: str, options: Sequence[tuple[str, int | str]]) -> Any:
    """To Envoy, or to a replica: with TLS and our certificate where ANTIFRAUD_TLS says so."""
    if not settings.antifraud_tls:
        return grpc.aio.insecure_channel(address, options=options)
    files = settings.tls_ca, settings.tls_client_key, settings.tls_client_certificate
    credentials = grpc.ssl_channel_credentials(*(Path(file).read_bytes() if file else None for file in files))
    return grpc.aio.secure_channel(address, credentials, options=options)


def _reasons(reasons: Iterable[antifraud_pb2.Reason]) -> dict[int, str | None]:
    by_row: dict[int, list[Reason]] = {}
    for one in reasons:
        by_row.setdefault(one.row, []).append(Reason(feature=one.feature, value=one.value, words=one.words))
    return {row: as_text(some[:REASONS_MOST]) for row, some in by_row.items()}


def _decided_by(assessments: Sequence[Assessment]) -> tuple[str | None, float | None]:
    """The model and the threshold of one call's assessments."""
    return assessments[0].model_version, assessments[0].threshold


def _shadow(answer: antifraud_pb2.AntifraudAssesmentBatchResponse) -> Sequence[float | None]:
    """What the second model says of each; None for what is no probability: no verdict waits for it."""
    if len(answer.shadow_score) != len(answer.score):
        return [None] * len(answer.score)
    return [score if 0 <= score <= 1 else None for score in answer.shadow_score]


def _fault(answer: antifraud_pb2.AntifraudAssesmentBatchResponse, asked: int) -> str | None:
    """What makes an answer useless. A status and a score that contradict each other are out of order."""
    if not len(answer.status) == len(answer.score) == asked:
        return f"{len(answer.status)} statuses and {len(answer.score)} scores to {asked} transactions"
    for row, (status, score) in enumerate(zip(answer.status, answer.score, strict=True)):
        if status not in _VERDICTS:
            return f"a status it may not have, {status}, in row {row}"
        if not 0 <= score <= 1:  # not true of NaN
            return f"a score that is no probability, {score}, in row {row}"
        if (score < answer.threshold) != (status == antifraud_pb2.REJECTED):
            return f"status {status} to score {score} at threshold {answer.threshold} in row {row}"
    return None
