"""GET /metrics for Prometheus, and the middleware that times requests."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import faust
from aiohttp import web
from faust.web import View
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app import __version__
from app.observability import metrics
from app.web.openapi import Answer, Operation, operation
from app.web.problems import Handler

#: Whatever else a client sends is one label: labels are not for clients to make.
METHODS = {"GET", "HEAD", "POST"}
STREAM = "text/event-stream"

DESCRIBED = Operation(
    "getMetrics",
    "Metrics for Prometheus",
    {200: Answer("Every metric.", "text/plain")},
    tag="operation",
    scope="read",
)


def register(app: faust.App, measure: Callable[[], None]) -> None:
    """Put /metrics on the app; `measure` brings up to date what is not counted where it happens."""
    metrics.BUILD_INFO.labels(__version__, platform.python_version()).set(1)

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
    """Observe each answer by method, path pattern and status.

    A stream lasts as long as its reader likes and is not among them; a GET that waits for a verdict has a path of its
    own, for its time is the client's wish.
    """
    began = time.monotonic()
    response = await handler(request)
    if response.content_type == STREAM:
        return response
    resource = request.match_info.route.resource
    method = request.method if request.method in METHODS else "other"
    path = resource.canonical if resource else "other"
    path += "?wait" if request.query_string and "wait" in request.query else ""
    _seconds(method, path, response.status).observe(time.monotonic() - began)
    return response


@cache
def _seconds(method: str, path: str, status: int) -> Any:
    """Looked up once: `labels` takes a lock and makes texts at each call."""
    return metrics.REQUEST_SECONDS.labels(method, path, status)
