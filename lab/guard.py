"""Who may use the lab: its buttons kill processes, so nobody but the person who started it.

A page of another site cannot ask (Origin), nor under a name of its own that leads to 127.0.0.1 (Host); whoever else is
on this machine does not know the token.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from typing import Any

from aiohttp import web

from lab.answers import Refused

HEADER = "X-Lab-Token"


def new_token() -> str:
    """256 bits, new at each start."""
    return secrets.token_urlsafe(32)


def authorities(port: int) -> frozenset[str]:
    """What the Host of a request may be."""
    return frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})


def same_site(allowed: Collection[str]) -> Any:
    """The middleware that refuses a foreign Host or Origin, whatever is asked for."""
    origins = {f"http://{authority}" for authority in allowed}

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Host", "").lower() not in allowed:
            raise Refused(403, "Foreign host", "the lab answers at its own address alone")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in origins:
            raise Refused(403, "Foreign origin", "only the lab's own page may ask")
        answer: web.StreamResponse = await handler(request)
        return answer

    return check


def with_token(token: str) -> Any:
    """The middleware that refuses whoever does not have it; and an action that is not JSON, as a form would send it."""

    @web.middleware
    async def check(request: web.Request, handler: Any) -> web.StreamResponse:
        given = request.headers.get(HEADER, "")
        if not hmac.compare_digest(given.encode(errors="replace"), token.encode()):
            raise Refused(403, "Wrong token", "open the link that make lab has printed")
        if request.method == "POST" and request.content_type != "application/json":
            raise Refused(415, "Unsupported media type", "say Content-Type: application/json")
        answer: web.StreamResponse = await handler(request)
        return answer

    return check
