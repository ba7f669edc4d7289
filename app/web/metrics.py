"""GET /metrics for Prometheus, and the middleware that times requests."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import faust
from aiohttp import web
from faust.web import View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app.observability import metrics
from app.web.openapi import Answer, Operation, operation
from app.web.problems import Handler

#: Whatever else a client sends is one label: labels are not for clients to make.
METHODS = {"GET", "HEAD", "POST"}
#: The query parameter of a GET that waits.
WAITED = "wait"

DESCRIBED = Operation(
    "getMetrics",
    "Metrics for Prometheus",
    {200: Answer("Every metric.", "text/plain")},
    tag="operation",
)


def register(app: faust.App, measure: Callable[[], None]) -> None:
    """Put /metrics on the app; `measure` brings up to date what is not counted where it happens."""

    @app.page("/metrics", name="metrics")
    class Metrics(View):
        """For Prometheus."""

        @operation(DESCRIBED)
        async def get(self, request: web.Request) -> web.Response:
            """200 with every metric, as text."""
            measure()
            return web.Response(
                body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
            )

    del Metrics  # the app holds it


@web.middleware
async def timed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Observe each answer by method, path pattern and status."""
    began = time.monotonic()
    response = await handler(request)
    if WAITED in request.query or response.content_type == "text/event-stream":
        return response  # its time is the client's wish
    resource = request.match_info.route.resource
    method = request.method if request.method in METHODS else "other"
    path = resource.canonical if resource else "other"
    _seconds(method, path, response.status).observe(time.monotonic() - began)
    return response


@cache
def _seconds(method: str, path: str, status: int) -> Any:
    """Looked up once: `labels` takes a lock and makes texts at each call."""
    return metrics.REQUEST_SECONDS.labels(method, path, status)
