"""A status webhook, as the old system had one: a receiver that is down for a while, and three senders.

Real HTTP on loopback. Each sender has the same statuses to deliver, one after another; what its tries do not
deliver stays pending for good, since nobody remembers it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web

BETWEEN = 0.2  # seconds between two statuses
DOWN_AFTER = 2.0  # seconds from the first status on

#: Sender -> the pauses before each further try.
SENDERS: dict[str, Sequence[float]] = {
    "one try": (),
    "10 tries more, at once": (0.0,) * 10,
    "10 tries more, pauses doubling from 50 ms": tuple(0.05 * 2**n for n in range(10)),
}


class Delivered(NamedTuple):
    """What came of one sender's statuses."""

    pending: int  # never arrived, and nobody tries again
    slowest: float  # seconds of the longest delivery: all behind it waited as long


async def all_senders(count: int, down_for: float) -> dict[str, Delivered]:
    """Each with a receiver of its own, side by side."""
    found = await asyncio.gather(*(deliver(count, down_for, pauses) for pauses in SENDERS.values()))
    return dict(zip(SENDERS, found, strict=True))


async def deliver(count: int, down_for: float, pauses: Sequence[float]) -> Delivered:
    """Send `count` statuses to a receiver that is down for so long in between."""
    arrived = set[str]()
    async with _receiver(arrived) as port:
        sending = asyncio.create_task(_send_all(port, count, pauses))
        await asyncio.sleep(DOWN_AFTER)
    await asyncio.sleep(down_for)
    async with _receiver(arrived, port):
        slowest = await sending
    return Delivered(count - len(arrived), slowest)


@asynccontextmanager
async def _receiver(arrived: set[str], port: int = 0) -> AsyncIterator[int]:
    """Takes PATCH …/<id>/status, first on a free port, which it gives; afterwards the port refuses."""

    async def take(request: web.Request) -> web.Response:
        arrived.add(request.match_info["id"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_patch("/api/v1/transactions/{id}/status", take)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


async def _send_all(port: int, count: int, pauses: Sequence[float]) -> float:
    """One after another; gives the seconds of the longest delivery."""
    slowest = 0.0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        for number in range(count):
            began = time.monotonic()
            await _send(session, f"http://127.0.0.1:{port}/api/v1/transactions/{number}/status", pauses)
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(BETWEEN)
    return slowest


async def _send(session: aiohttp.ClientSession, url: str, pauses: Sequence[float]) -> None:
    for pause in (0.0, *pauses):
        await asyncio.sleep(pause)
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with session.patch(url, json={"status": "accepted"}) as response:
                if response.status < 300:
                    return
