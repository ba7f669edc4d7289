"""Single assessments asked by gRPC: one after another, many at a time, or at a rate whatever happens."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import grpc
import grpc.aio

from generator.traffic import transaction
from reconciliation.summary import percentile
from schemas.proto import antifraud_pb2 as pb
from schemas.proto import antifraud_pb2_grpc as pb_grpc

DEADLINE = 2.0
#: A channel that finds its server again quickly, as the worker's does.
OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Call(NamedTuple):
    """One assessment: when it was asked (time.monotonic()), how long it took, and who answered or what failed."""

    sent: float
    took: float
    replica: str
    error: str


class Calls(list[Call]):
    """Calls, counted."""

    @property
    def failed(self) -> int:
        """How many got no verdict."""
        return sum(bool(call.error) for call in self)

    @property
    def shares(self) -> Counter[str]:
        """Replica -> how many it answered."""
        return Counter(call.replica for call in self if not call.error)

    def took(self, percent: float) -> float:
        """Milliseconds of those that were answered."""
        return percentile([call.took for call in self if not call.error] or [0.0], percent) * 1000

    def between(self, since: float, until: float) -> Calls:
        """Those asked in that time."""
        return Calls(call for call in self if since <= call.sent < until)


async def one_after_another(address: str, count: int) -> Calls:
    """The next one when the last is answered."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub, requests = pb_grpc.AntifraudAPIStub(channel), _requests()
        return Calls([await _call(stub, requests[n % len(requests)]) for n in range(count)])


async def many_at_a_time(address: str, seconds: float, at_a_time: int = 32) -> tuple[Calls, float]:
    """As many as are answered, `at_a_time` under way; gives the rate too."""
    calls, ends = Calls(), time.monotonic() + seconds
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub, requests = pb_grpc.AntifraudAPIStub(channel), _requests()

        async def go_on(number: int) -> None:
            while time.monotonic() < ends:
                number += 1
                calls.append(await _call(stub, requests[number % len(requests)]))

        began = time.monotonic()
        await asyncio.gather(*map(go_on, range(at_a_time)))
        return calls, (len(calls) - calls.failed) / (time.monotonic() - began)


async def at_a_rate(address: str, rate: float, enough: asyncio.Event, calls: Calls) -> None:
    """`rate` a second until `enough`, whatever the answers are."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub, requests, flying = pb_grpc.AntifraudAPIStub(channel), _requests(), set[asyncio.Task[None]]()

        async def one(request: pb.AntifraudAssesmentRequest) -> None:
            calls.append(await _call(stub, request))

        due, number = time.monotonic(), 0
        while not enough.is_set():
            due, number = due + 1 / rate, number + 1
            flying.add(task := asyncio.create_task(one(requests[number % len(requests)])))
            task.add_done_callback(flying.discard)
            await asyncio.sleep(due - time.monotonic())
        await asyncio.gather(*flying)


async def _call(stub: Any, request: pb.AntifraudAssesmentRequest) -> Call:
    sent = time.monotonic()
    try:
        answer = await stub.AntifraudAssesment(request, timeout=DEADLINE)
    except grpc.aio.AioRpcError as failure:
        return Call(sent, time.monotonic() - sent, "", failure.code().name)
    return Call(sent, time.monotonic() - sent, answer.replica, "")


def _requests() -> Sequence[pb.AntifraudAssesmentRequest]:
    rng = random.Random(7)
    bodies: list[dict[str, Any]] = [dict(transaction(rng)) for _ in range(100)]
    names = [field.name for field in pb.AntifraudAssesmentRequest.DESCRIPTOR.fields]
    return [pb.AntifraudAssesmentRequest(**{name: body[name] for name in names}) for body in bodies]
