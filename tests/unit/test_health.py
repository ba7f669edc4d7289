"""Liveness: 200 while the work moves, 503 with the reason when it does not."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web

from app.web import health


def live(stuck: str | None) -> web.Response:
    """What GET /health/live answers."""
    views: dict[str, Any] = {}

    def page(path: str, **_: Any) -> Any:
        return lambda view: views.setdefault(path, view)

    app = SimpleNamespace(page=page, conf=SimpleNamespace(id="bff"))
    health.register(cast(Any, app), cast(Any, None), lambda: True, lambda: stuck)
    view = views["/health/live"]
    return cast(web.Response, asyncio.run(view.get(None, None)))


@pytest.mark.parametrize(
    ("stuck", "status", "body"),
    [
        (None, 200, {"alive": True}),
        ("no step for 60 s", 503, {"alive": False, "reason": "no step for 60 s"}),
    ],
)
def test_liveness_follows_the_watchdog(stuck: str | None, status: int, body: dict[str, Any]) -> None:
    answer = live(stuck)
    assert answer.status == status
    assert json.loads(cast(bytes, answer.body)) == body
