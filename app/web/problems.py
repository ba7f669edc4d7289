"""Errors as problem+json (RFC 9457), with the old system's `error` key beside it; one room for all of them."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from app.web import request_id
from app.web.problem_types import type_of
from app.web.recent_answers import PROBLEM

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


#: Lines a second about answers 503: an outage under load has thousands, and app.health has named it once already.
LINES_A_SECOND = 10


def problem(
    status: int,
    title: str,
    detail: str,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, Any] | None = None,
) -> web.Response:
    """An error's answer; `errors` names each field (`field`, `reason`), `title` opens the old `error` text.

    `members` are further keys of the body. A new `title` gets a row in app.web.problem_types.
    """
    type_ = type_of(status, title).uri
    body: dict[str, Any] = {"type": type_, "title": title, "status": status, "detail": detail}
    body["error"] = f"{title}: {detail}"
    if errors:
        body["errors"] = list(errors)
    if request_id.current():
        body["request_id"] = request_id.current()
    body.update(members or {})
    answer = web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=headers,
    )
    answer[PROBLEM] = body
    return answer


def unavailable(
    title: str,
    detail: str,
    because: BaseException | None = None,
    retry_after: int = 1,
    members: Mapping[str, Any] | None = None,
) -> web.Response:
    """503 with Retry-After; `because` may have a driver's text with addresses in it, and goes to the log alone."""
    if because is not None:
        _failures.log(title, because)
    return problem(503, title, detail, headers={"Retry-After": str(retry_after)}, members=members)


class Failures:
    """The log lines about answers 503: each with its request's id, as long as they are few."""

    def __init__(self) -> None:
        self._second = 0
        self._in_second = 0

    def log(self, title: str, because: BaseException) -> None:
        """One more."""
        second = int(time.monotonic())
        if second != self._second:
            if self._in_second > LINES_A_SECOND:
                log.warning("%d more requests were answered 503", self._in_second - LINES_A_SECOND)
            self._second, self._in_second = second, 0
        self._in_second += 1
        if self._in_second <= LINES_A_SECOND:
            log.warning("Request %s: 503 %s: %s", request_id.current(), title, because)


_failures = Failures()


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What no view answered: unknown paths and methods, too large a body, and faults of ours (logged once)."""
    id_ = request_id.begin(request)
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as exc:
        return _options(exc) if request.method == "OPTIONS" else refused(exc, request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        return refused(exc, request)
    except web.RequestPayloadError:
        return problem(400, "Bad request", "the body is not what its headers say")
    except Exception:
        log.exception(
            "Request %s: 500: %s %s raised an unexpected exception (a bug)", id_, request.method, request.path
        )
        return problem(500, "Internal error", "an unexpected error; the log has it under this request_id")


def _options(exc: web.HTTPMethodNotAllowed) -> web.Response:
    """No view answers OPTIONS: what it asks for is what a 405 would name."""
    return web.Response(status=204, headers={"Allow": ", ".join(sorted({*exc.allowed_methods, "OPTIONS"}))})


def refused(exc: web.HTTPException, request: web.BaseRequest) -> web.Response:
    """In our form what aiohttp refuses by itself."""
    allow = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None
    return problem(exc.status, exc.reason, _detail(exc, request), headers=allow)


def _detail(exc: web.HTTPException, request: web.BaseRequest) -> str:
    if exc.status == 404:
        return "no such path"
    if exc.status == 405:
        return f"{request.method} is not allowed here"
    if exc.status == 413:
        return "the body is larger than allowed"
    if exc.status == 408:
        return "the body did not arrive in time"
    return exc.text or exc.reason
