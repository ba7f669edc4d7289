"""Every probe has its own deadline, and its failures become findings here."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import aiohttp
from redis.exceptions import RedisError
from yarl import URL

from app.errors import PipelineError
from app.system.parts import UP, Finding

T = TypeVar("T")

#: Seconds. A part that hangs right after a look is found by the next one, a second later: 2 s in all.
DEADLINE = 0.9
#: Seconds that a deadline may come late before the delay is taken for our own: a busy machine proves no death.
OURS = 0.2


class BusyOurselves(Exception):
    """The time is over and this process itself was held up: nothing was learnt."""


class Fault(Exception):
    """A part answers, and is not as it should be; the text is shown to clients."""


async def within(call: Awaitable[T], seconds: float = DEADLINE) -> T:
    """The call's result; TimeoutError, BusyOurselves."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(seconds):
            return await call
    except TimeoutError as exc:
        if loop.time() - began > seconds + OURS:
            raise BusyOurselves from exc
        raise


async def probed(ask: Callable[[], Awaitable[Finding | None]], seconds: float = DEADLINE) -> Finding | None:
    """The probe's own finding, 'ok' if it has none, 'down' if it fails; None when nothing was learnt."""
    try:
        return await within(ask(), seconds) or UP
    except BusyOurselves:
        return None
    except Fault as exc:
        return Finding("degraded", str(exc))
    except TimeoutError:
        return Finding("down", f"no answer within {round(seconds)} s")
    except ConnectionRefusedError:
        return Finding("down", "refuses connections")
    except (PipelineError, RedisError, OSError, EOFError, aiohttp.ClientError, ValueError) as exc:
        refused = isinstance(exc.__cause__, ConnectionRefusedError)
        return Finding("down", "refuses connections" if refused else "does not answer")


class OngoingLook(Generic[T]):
    """A look that may outlast its deadline: it goes on, and who asks next waits for the same one.

    For what must not be cancelled in the middle; it has a time-out of its own.
    """

    def __init__(self, look: Callable[[], Awaitable[T]]):
        self._look = look
        self._task: asyncio.Future[T] | None = None

    async def result(self, seconds: float = DEADLINE) -> T:
        """What it finds; TimeoutError, BusyOurselves, and what it raises."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._look())
        task = self._task
        try:
            return await within(asyncio.shield(task), seconds)
        finally:
            if task.done():
                self._task = None

    async def close(self) -> None:
        """End it."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


async def get(
    session: aiohttp.ClientSession, url: str | URL, most: int, tls: ssl.SSLContext | None = None
) -> bytes:
    """The body of a 200; Fault for another status, ValueError beyond `most` bytes, aiohttp.ClientError, OSError."""
    async with session.get(url, allow_redirects=False, ssl=tls or True) as answer:
        body = b""
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > most:
                raise ValueError(f"more than {most} bytes")
        if answer.status != 200:
            raise Fault(f"answers {answer.status}")
        return body
