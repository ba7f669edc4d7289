"""The last problem answers of this bff, for whoever looks for the reason of one."""

from __future__ import annotations

import time
from collections import deque
from typing import Any
from urllib.parse import quote

from aiohttp import web

KEPT = 100
#: Characters of a detail: it may hold what a client sent.
DETAIL_MOST = 500
#: Characters of a path that is none of ours.
PATH_MOST = 60
#: What is answered to who has no token, or asks too often.
STRANGERS = (401, 429)
#: Under this key an answer has the body of its problem.
PROBLEM = web.ResponseKey("problem", dict[str, Any])

_recent: deque[dict[str, Any]] = deque(maxlen=KEPT)


def note(request: web.BaseRequest, answer: web.StreamResponse) -> None:
    """An answer is sent; kept if it is a problem, but for what would push out all others: probes, and strangers."""
    problem = answer.get(PROBLEM)
    if problem is None or request.path.startswith("/health/") or answer.status in STRANGERS:
        return
    _recent.appendleft(
        {
            "at": round(time.time(), 3),
            "method": request.method[:16],
            "path": _pattern(request),
            **{name: problem[name] for name in ("status", "title", "type")},
            "detail": str(problem["detail"])[:DETAIL_MOST],
            "request_id": problem.get("request_id", ""),
        }
    )


def newest() -> list[dict[str, Any]]:
    """Newest first."""
    return list(_recent)


def _pattern(request: web.BaseRequest) -> str:
    """The path as it is declared; of one that is none of ours the beginning, escaped; 'other' for what is not HTTP."""
    try:
        resource = request.match_info.route.resource  # type: ignore[attr-defined]
    except (AttributeError, AssertionError):  # no router has seen it: not HTTP, or beyond its bounds
        return "other"
    if resource:
        return str(resource.canonical)
    return _beginning(request.path)


def _beginning(path: str) -> str:
    shown = ""
    for character in path:
        escaped = quote(character, errors="replace")
        if len(shown) + len(escaped) > PATH_MOST:
            return shown + "…"
        shown += escaped
    return shown
