"""Errors as problem+json (RFC 9457), with the old system's `error` key beside it; one room for all of them."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(
    status: int,
    title: str,
    detail: str,
    errors: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error's answer; `errors` names each field (`field`, `reason`), `title` opens the old `error` text."""
    body: dict[str, Any] = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    body["error"] = f"{title}: {detail}"
    if errors:
        body["errors"] = list(errors)
    return web.Response(
        status=status,
        body=json.dumps(body).encode(),
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What no view answered: unknown paths and methods, too large a body, and faults of ours (logged once)."""
    try:
        return await handler(request)
    except web.HTTPException as exc:
        if exc.status < 400:
            raise
        allow = {"Allow": exc.headers["Allow"]} if "Allow" in exc.headers else None
        return problem(exc.status, exc.reason, _detail(exc, request), headers=allow)
    except web.RequestPayloadError:
        return problem(400, "Bad request", "the body is not what its headers say")
    except Exception:
        log.exception("%s %s failed by a fault of ours", request.method, request.path)
        return problem(500, "Internal error", "a fault of ours; it is in the log")


def _detail(exc: web.HTTPException, request: web.Request) -> str:
    if exc.status == 404:
        return "no such path"
    if exc.status == 405:
        return f"{request.method} is not allowed here"
    if exc.status == 413:
        return "the body is larger than allowed"
    if exc.status == 408:
        return "the body did not arrive in time"
    return exc.text or exc.reason
