"""Which answers are timed under which labels."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.observability import metrics
from app.web.metrics import timed


def counted(path: str, status: str = "200") -> float:
    labels = {"method": "GET", "path": path, "status": status}
    return metrics.REGISTRY.get_sample_value("payments_http_request_seconds_count", labels) or 0.0


def risen(query: str, response: web.StreamResponse) -> dict[str, float]:
    """How often an answer of no known resource was counted, alone and as one that waits."""
    status = str(response.status)
    before = {path: counted(path, status) for path in ("other", "other?wait")}

    async def handler(_: web.Request) -> web.StreamResponse:
        return response

    async def call() -> None:
        request = make_mocked_request("GET", "/x" + query)
        request._match_info = await web.Application().router.resolve(request)
        await timed(request, handler)

    asyncio.run(call())
    return {path: counted(path, status) - count for path, count in before.items()}


def test_an_answer_is_timed_once() -> None:
    assert risen("?limit=5", web.Response(text="fine")) == {"other": 1, "other?wait": 0}


def test_a_get_that_waits_is_not_among_the_others() -> None:
    assert risen("?wait=5", web.Response(text="fine")) == {"other": 0, "other?wait": 1}


@pytest.mark.parametrize(("status", "times"), [(200, 0), (503, 1)])
def test_a_stream_is_not_timed_and_its_refusal_is(status: int, times: int) -> None:
    kind = "text/event-stream" if status == 200 else "application/problem+json"
    found = risen("", web.StreamResponse(status=status, headers={"Content-Type": kind}))
    assert found == {"other": times, "other?wait": 0}
