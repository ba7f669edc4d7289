"""CORS: which other sites' pages may read our answers in a browser; none by default (PAYMENTS_CORS_ORIGINS).

Not Faust's own (aiohttp-cors): with it HEAD is gone, and errors that no view answered would have no headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from aiohttp import web

ANY = "*"
#: What a page's script may read beside the few headers that every script may.
EXPOSED = "Allow, ETag, Location, Retry-After, X-Request-Id"
#: What it may send.
ACCEPTED = "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, X-Request-Id"
#: Seconds that a browser need not ask again.
PREFLIGHT_LASTS = 600

OnPrepare = Callable[[web.Request, web.StreamResponse], Awaitable[None]]


def allowing(origins: Sequence[str]) -> OnPrepare:
    """What adds the headers to each answer, streamed ones too: to those origins' requests, `*` to all."""

    async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
        if ANY not in origins:
            response.headers.add("Vary", "Origin")  # else a cache would give one origin's answer to another
        origin = request.headers.get("Origin")
        if origin is None or not {ANY, origin} & set(origins):
            return
        response.headers["Access-Control-Allow-Origin"] = ANY if ANY in origins else origin
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            response.headers["Access-Control-Allow-Methods"] = response.headers.get("Allow", "")
            response.headers["Access-Control-Allow-Headers"] = ACCEPTED
            response.headers["Access-Control-Max-Age"] = str(PREFLIGHT_LASTS)
        else:
            response.headers["Access-Control-Expose-Headers"] = EXPOSED

    return add_headers


def is_foreign(request: web.Request) -> bool:
    """Whether a page of another origin has its reader's browser ask: no browser leaves the header out then."""
    origin = request.headers.get("Origin")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != request.host.lower()
    except ValueError:  # no URL
        return True
