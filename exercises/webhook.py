"""A status webhook, as the old system had one: a receiver that is down for a while, and three senders.

Real HTTP on loopback. Each sender has the same statuses to deliver, one after another; what its tries do not
deliver stays pending for good, since nobody remembers it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
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


class Receiver:
    """Takes PATCH …/<id>/status while it is up; the port refuses while it is down."""

    def __init__(self) -> None:
        self.arrived: set[str] = set()
        self.port = 0
        self._runner: web.AppRunner | None = None

    async def up(self) -> None:
        """Listen, the first time on a free port."""
        app = web.Application()
        app.router.add_patch("/api/v1/transactions/{id}/status", self._take)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self.port or int(self._runner.addresses[0][1])

    async def down(self) -> None:
        """Close the port and every connection."""
        if self._runner:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.arrived.add(request.match_info["id"])
        return web.Response(status=204)


async def all_senders(count: int, down_for: float) -> dict[str, Delivered]:
    """Each with a receiver of its own, side by side."""
    found = await asyncio.gather(*(deliver(count, down_for, pauses) for pauses in SENDERS.values()))
    return dict(zip(SENDERS, found, strict=True))


async def deliver(count: int, down_for: float, pauses: Sequence[float]) -> Delivered:
    """Send `count` statuses to a receiver that is down for so long in between."""
    receiver = Receiver()
    await receiver.up()
    outage = asyncio.create_task(_outage(receiver, down_for))
    slowest = 0.0
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
        for number in range(count):
            began = time.monotonic()
            url = f"http://127.0.0.1:{receiver.port}/api/v1/transactions/{number}/status"
            await _send(session, url, pauses)
            slowest = max(slowest, time.monotonic() - began)
            await asyncio.sleep(BETWEEN)
    await outage
    await receiver.down()
    return Delivered(count - len(receiver.arrived), slowest)


async def _send(session: aiohttp.ClientSession, url: str, pauses: Sequence[float]) -> bool:
    for pause in (None, *pauses):
        await asyncio.sleep(pause or 0)
        try:
            async with session.patch(url, json={"status": "accepted"}) as response:
                if response.status < 300:
                    return True
        except (aiohttp.ClientError, OSError, TimeoutError):
            continue
    return False


async def _outage(receiver: Receiver, down_for: float) -> None:
    await asyncio.sleep(DOWN_AFTER)
    await receiver.down()
    await asyncio.sleep(down_for)
    await receiver.up()
