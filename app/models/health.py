"""What a ping has found out about a dependency: one word for clients, the reason for the log."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from app.errors import PipelineError, Transient

PING_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """`word` is shown to clients, so it names no address; `reason` may, and goes to the log alone."""

    usable: bool
    word: str
    reason: str = ""


OK = Health(True, "ok")


class Unusable(Transient):
    """A dependency answers and still cannot be used; the text is written for clients."""


async def pinged(ping: Callable[[], Awaitable[Health | None]]) -> Health:
    """The ping's own verdict, 'ok' if it has none, or 'unavailable' if it fails or takes too long."""
    try:
        found = await asyncio.wait_for(ping(), PING_TIMEOUT)
    except Unusable as exc:
        return Health(False, str(exc))
    except TimeoutError:
        return Health(False, "unavailable", f"no answer within {PING_TIMEOUT:g} s")
    except PipelineError as exc:
        return Health(False, "unavailable", str(exc))
    return found or OK
