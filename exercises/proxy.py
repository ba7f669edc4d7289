"""For and against Envoy: a direct channel to one replica beside the proxy in front of both.

What Envoy adds to a call; each replica's share; calls per second with one replica and with two; and what
happens to calls in flight, and to later ones, when a replica dies: on the direct channel, and through Envoy.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

from exercises import checks, grpc_load
from exercises.context import Context, say
from exercises.grpc_load import Calls
from infra.native import ports

DEAD, OTHER = "antifraud-1", "antifraud-2"
RATE = 50.0
#: When the one that was dead is back: a tenth of a second's answers are its own again, within so many seconds.
SHARE, BACK_WITHIN = 0.1, 20.0
CONTROL = "an Envoy that does not retry, checks no health and takes no replica out."
OLD = "an essay; it wished for a proxy that knows who is down"


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
    asyncio.run(grpc_load.one_after_another(envoy, 20))  # connections are made
    near = asyncio.run(grpc_load.one_after_another(direct, count))
    far = asyncio.run(grpc_load.one_after_another(envoy, count))
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
    with _Asked(direct) as near, _Asked(envoy) as far:
        began = context.now()
        context.watch(3)
        died = context.faults.die(DEAD)
        context.watch(context.seconds(6, 4))
        ended = context.now()
        context.faults.back(DEAD)
        back = context.now()
        shares = _share_again(context, far.calls)
        seconds = int(context.now() - began)
    lasted = f"from {died - began:.1f} s until it was ready at {back - began:.1f} s"
    say(f"  the calls, a line a second from their own beginning on; {DEAD} was away {lasted}")
    for second in range(seconds):
        _line(second, near.calls, far.calls, began)
    gone = near.calls.between(died, ended), far.calls.between(died, ended)
    for name, calls in zip(("direct channel", "through Envoy"), gone, strict=True):
        say(f"  while it was dead, {name:<15} {calls.failed} of {len(calls)} failed; {dict(calls.shares)}")
    say(f"  slowest call through Envoy {gone[1].took(100):.0f} ms")
    context.promise("on the direct channel the calls fail", gone[0].failed > 0.8 * len(gone[0]))
    context.promise(
        "through Envoy no call fails",
        not far.calls.failed and len(gone[1]) > 0,
        f"{far.calls.failed} of {len(far.calls)}",
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


class _Asked:
    """Calls at a rate, in a thread, from `with` to the end of it."""

    def __init__(self, address: str) -> None:
        self.calls = Calls()
        self._address = address
        self._loop = asyncio.new_event_loop()
        self._enough = asyncio.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> _Asked:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._enough.set)
        self._thread.join(10)

    def _run(self) -> None:
        asking = grpc_load.at_a_rate(self._address, RATE, self._enough, self.calls)
        self._loop.run_until_complete(asking)


def _rates(context: Context, direct: str, envoy: str) -> None:
    context.step("32 calls at a time: how many a second")
    _rate("direct, one replica", direct)
    _rate("Envoy, two replicas", envoy)
    context.faults.die(DEAD, shown=False)
    context.watch(2)
    _rate("Envoy, one replica", envoy)
    context.faults.back(DEAD)


def _rate(name: str, address: str) -> None:
    calls, rate = asyncio.run(grpc_load.many_at_a_time(address, 3))
    say(f"  {name:<22}{rate:6.0f} a second, {calls.failed} failed, p99 {calls.took(99):.0f} ms")
