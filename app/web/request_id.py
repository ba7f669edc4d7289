"""X-Request-Id: what a client quotes from an answer is what the log has beside the reason."""

from __future__ import annotations

import re
import secrets

from aiohttp import web
from multidict import MultiMapping

from app.observability.json_logs import request_id as _current

HEADER = "X-Request-Id"
#: A client's own id goes into the log and into JSON: nothing in it may mean anything to a terminal or a parser.
_SAFE = re.compile(r"[A-Za-z0-9._~:/+=@,-]{1,128}")
_KEY = web.RequestKey("request_id", str)


def current() -> str:
    """The id of the request at work; empty outside of one."""
    return _current.get()


def begin(request: web.BaseRequest) -> str:
    """The request's id, for `current` from now on: the client's if it sent one that is safe, else a new one.

    The requests of a connection share a context, so whoever begins with one says so.
    """
    found = request.get(_KEY) or _sent(request) or secrets.token_hex(8)
    request[_KEY] = found
    _current.set(found)
    return found


def mark(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Put the request's id on its answer."""
    response.headers[HEADER] = begin(request)


def _sent(request: web.BaseRequest) -> str | None:
    if not isinstance(request.headers, MultiMapping):
        return None  # what aiohttp makes of bytes that are no HTTP has a plain dict
    sent = request.headers.getall(HEADER, ())
    return sent[0] if len(sent) == 1 and _SAFE.fullmatch(sent[0]) else None
