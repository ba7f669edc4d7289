"""Antifraud by gRPC through Envoy: one call for a whole batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from app.errors import AntifraudUnavailable
from app.models.assessment import Assessment, Verdict
from app.models.transaction import Transaction
from app.settings import Settings
from schemas.proto import antifraud_pb2, antifraud_pb2_grpc

#: From this many on a batch is split in two calls, so that both replicas work on it.
SPLIT_FROM = 400

SERVICE = "antifraud.v1.AntifraudAPI"

_VERDICTS: dict[int, Verdict] = {antifraud_pb2.ACCEPTED: "accepted", antifraud_pb2.REJECTED: "rejected"}

#: Retries, health and balancing are Envoy's; this channel only has to find Envoy again quickly.
_CHANNEL = (
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
)


class Antifraud:
    """One channel to Envoy, on the event loop that uses it."""

    def __init__(self, settings: Settings):
        self._timeout = settings.assess_timeout
        self._address = settings.antifraud_address
        self._channel: Any = None
        self._stub: Any = None

    async def open(self) -> None:
        """Make the channel; it connects by itself and again, so that nothing can fail here."""
        self._channel = grpc.aio.insecure_channel(self._address, options=_CHANNEL)
        self._stub = antifraud_pb2_grpc.AntifraudAPIStub(self._channel)

    async def close(self) -> None:
        """Close the channel."""
        if self._channel is not None:
            await self._channel.close()

    async def ping(self) -> None:
        """A replica behind Envoy says that it serves, or AntifraudUnavailable."""
        check = health_pb2_grpc.HealthStub(self._channel).Check
        try:
            answer = await check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=self._timeout)
        except grpc.aio.AioRpcError as exc:
            raise _unavailable(exc) from exc
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise AntifraudUnavailable(f"the replica behind {self._address} does not serve yet")

    async def assess(self, transactions: Sequence[Transaction]) -> list[Assessment]:
        """An assessment of each, in order; AntifraudUnavailable when one of the calls failed."""
        if len(transactions) < SPLIT_FROM:
            return await self._call(transactions)
        half = len(transactions) // 2
        first, second = await asyncio.gather(self._call(transactions[:half]), self._call(transactions[half:]))
        return first + second

    async def _call(self, transactions: Sequence[Transaction]) -> list[Assessment]:
        request = antifraud_pb2.AntifraudAssesmentBatchRequest(
            value_in_cents=[t["value_in_cents"] for t in transactions],
            transaction_timestamp=[t["transaction_timestamp"] for t in transactions],
            latitude=[t["latitude"] for t in transactions],
            longitude=[t["longitude"] for t in transactions],
        )
        try:
            answer = await self._stub.AntifraudAssesmentBatch(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as exc:
            raise _unavailable(exc) from exc
        by, model, threshold = answer.replica, answer.model_version, answer.threshold
        return [
            Assessment(_VERDICTS[status], score, threshold, model, by)
            for status, score in zip(answer.status, answer.score, strict=True)
        ]


def _unavailable(exc: grpc.aio.AioRpcError) -> AntifraudUnavailable:
    return AntifraudUnavailable(f"{exc.code().name}: {exc.details()}")
