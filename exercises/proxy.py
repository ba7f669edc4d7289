"""For and against Envoy: a direct channel to one replica beside the proxy in front of both.

What Envoy adds to a call; each replica's share; calls per second with one replica and with two; and what
happens to calls in flight, and to later ones, when a replica dies: on the direct channel, and through Envoy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any, NamedTuple

import grpc
import grpc.aio

from exercises import checks
from exercises.context import Context, say
from exercises.load_client import in_background
from generator.traffic import transactions
from infra.native import ports
from reconciliation.summary import percentile
from schemas.proto import antifraud_pb2 as pb
from schemas.proto import antifraud_pb2_grpc as pb_grpc

DEAD, OTHER = "antifraud-1", "antifraud-2"
RATE, AT_A_TIME = 50.0, 32
DEADLINE = 2.0
#: A channel that finds its server again quickly, as the worker's does.
OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
#: When the one that was dead is back: a tenth of a second's answers are its own again, within so many seconds.
SHARE, BACK_WITHIN = 0.1, 20.0
CONTROL = "an Envoy that does not retry, checks no health and takes no replica out."
OLD = "only an essay, nothing to run; it wished for a proxy that knows who is down"


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


def run(context: Context) -> None:
    """Latency, share, failover, rate."""
    if context.control:
        context.faults.replace("envoy", command="python -m exercises.controls.bare_envoy")
    direct, envoy = (str(ports.endpoints(name)[0]) for name in (DEAD, "envoy"))
    _latency(context, direct, envoy)
    with context.clients(rate=10) as clients:
        context.watch(1)
        _failover(context, direct, envoy)
        checks.caught_up(context, clients, "at the end")
    if not context.short:
        _rates(context, direct, envoy)
    context.count(clients.ids)


def _latency(context: Context, direct: str, envoy: str) -> None:
    context.step("One call after another: what Envoy adds, and who answers")
    count = int(context.seconds(500, 200))
    asyncio.run(_one_after_another(envoy, 20))  # connections are made
    near = asyncio.run(_one_after_another(direct, count))
    far = asyncio.run(_one_after_another(envoy, count))
    for name, calls in ((f"direct to {DEAD}", near), ("through Envoy", far)):
        say(f"  {name:<22}p50 {calls.took(50):5.2f} ms   p99 {calls.took(99):6.2f} ms   {dict(calls.shares)}")
    say(f"  Envoy adds {far.took(50) - near.took(50):.2f} ms at p50")
    least = min(far.shares.get(name, 0) for name in (DEAD, OTHER))
    context.promise(
        "through Envoy both replicas answer, each 40 % or more",
        least >= 0.4 * len(far),
        str(dict(far.shares)),
    )


def _failover(context: Context, direct: str, envoy: str) -> None:
    context.step(f"{RATE:.0f} calls a second on each way; {DEAD} dies")
    near, far = Calls(), Calls()
    with (
        in_background(lambda enough: _at_a_rate(direct, near, enough)),
        in_background(lambda enough: _at_a_rate(envoy, far, enough)),
    ):
        began = context.now()
        context.watch(3)
        died = context.faults.die(DEAD)
        context.watch(context.seconds(6, 4))
        ended = context.now()
        context.faults.back(DEAD)
        back = context.now()
        shares = _share_again(context, far)
        seconds = int(context.now() - began)
    lasted = f"from {died - began:.1f} s until it was ready at {back - began:.1f} s"
    say(f"  the calls, a line a second from their own beginning on; {DEAD} was away {lasted}")
    for second in range(seconds):
        _line(second, near, far, began)
    gone = near.between(died, ended), far.between(died, ended)
    for name, calls in zip(("direct channel", "through Envoy"), gone, strict=True):
        say(f"  while it was dead, {name:<15} {calls.failed} of {len(calls)} failed; {dict(calls.shares)}")
    say(f"  slowest call through Envoy {gone[1].took(100):.0f} ms")
    context.promise("on the direct channel the calls fail", gone[0].failed > 0.8 * len(gone[0]))
    context.promise(
        "through Envoy no call fails",
        not far.failed and len(gone[1]) > 0,
        f"{far.failed} of {len(far)}",
    )
    context.promise(
        f"{DEAD} has its share again when it is back: more than a tenth in a second",
        share_of(DEAD, shares) > SHARE,
        str(dict(shares)),
    )


def _share_again(context: Context, calls: Calls) -> Counter[str]:
    """Wait until the revived replica answers more than a tenth; the answers of the last second, by replica."""
    ends = context.now() + BACK_WITHIN
    while True:
        context.watch(1)
        now = context.now()
        shares = calls.between(now - 1, now).shares
        if share_of(DEAD, shares) > SHARE or now > ends:
            context.watch(1)  # so that the table's last second is a whole one of that time
            return shares


def share_of(name: str, shares: Counter[str]) -> float:
    """Its share of the answered calls, 0 to 1."""
    return shares[name] / max(1, shares.total())


def _line(second: int, near: Calls, far: Calls, began: float) -> None:
    since = began + second
    direct, proxied = near.between(since, since + 1), far.between(since, since + 1)
    say(
        f"  {second + 1:4d} s  direct: {len(direct) - direct.failed:3d} answered, {direct.failed:3d} failed"
        f"   Envoy: {len(proxied) - proxied.failed:3d} answered, {proxied.failed:3d} failed   {dict(proxied.shares)}"
    )


def _rates(context: Context, direct: str, envoy: str) -> None:
    context.step("32 calls at a time: how many a second")
    _rate("direct, one replica", direct)
    _rate("Envoy, two replicas", envoy)
    context.faults.die(DEAD, shown=False)
    context.watch(2)
    _rate("Envoy, one replica", envoy)
    context.faults.back(DEAD)


def _rate(name: str, address: str) -> None:
    calls, seconds = asyncio.run(_many_at_a_time(address, 3))
    rate = (len(calls) - calls.failed) / seconds
    say(f"  {name:<22}{rate:6.0f} a second, {calls.failed} failed, p99 {calls.took(99):.0f} ms")


async def _one_after_another(address: str, count: int) -> Calls:
    calls = Calls()
    async with _channel(address, calls) as ask:
        for _ in range(count):
            await ask()
    return calls


async def _many_at_a_time(address: str, seconds: float) -> tuple[Calls, float]:
    """As many as are answered; gives the seconds until the last one too."""
    calls, began = Calls(), time.monotonic()

    async def go_on() -> None:
        while time.monotonic() < began + seconds:
            await ask()

    async with _channel(address, calls) as ask:
        await asyncio.gather(*(go_on() for _ in range(AT_A_TIME)))
        return calls, time.monotonic() - began


async def _at_a_rate(address: str, calls: Calls, enough: threading.Event) -> None:
    """Until `enough`, whatever the answers are."""
    async with _channel(address, calls) as ask, asyncio.TaskGroup() as asked:
        due = time.monotonic()
        while not enough.is_set():
            due += 1 / RATE
            asked.create_task(ask())
            await asyncio.sleep(due - time.monotonic())


@asynccontextmanager
async def _channel(address: str, calls: Calls) -> AsyncIterator[Callable[[], Coroutine[None, None, None]]]:
    """A channel of its own: what it gives asks for one assessment, and puts the call into `calls`."""
    names = [field.name for field in pb.AntifraudAssesmentRequest.DESCRIPTOR.fields]
    asked: list[dict[str, Any]] = [{name: body[name] for name in names} for body in transactions(100, seed=7)]
    requests = cycle([pb.AntifraudAssesmentRequest(**fields) for fields in asked])
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = pb_grpc.AntifraudAPIStub(channel)

        async def ask() -> None:
            sent = time.monotonic()
            try:
                answer = await stub.AntifraudAssesment(next(requests), timeout=DEADLINE)
                replica, error = answer.replica, ""
            except grpc.aio.AioRpcError as failure:
                replica, error = "", failure.code().name
            calls.append(Call(sent, time.monotonic() - sent, replica, error))

        yield ask
