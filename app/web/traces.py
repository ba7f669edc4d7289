"""The middleware that makes a request a span."""

from __future__ import annotations

from aiohttp import web

from app.observability import tracing
from app.web.metrics import METHODS
from app.web.problems import Handler

#: Probes and files are no journeys, and a stream lasts as long as its reader likes.
TRACED, STREAM = "/api/", "/events"


@web.middleware
async def traced(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A span of the request, by method and path pattern; in the client's trace if it sent a traceparent."""
    if not request.path.startswith(TRACED) or request.path.endswith(STREAM):
        return await handler(request)
    traceparent = request.headers.get(tracing.HEADER)
    if not tracing.concerns(traceparent):
        return await handler(request)  # before anything is made for a span
    resource = request.match_info.route.resource
    method = request.method if request.method in METHODS else "_OTHER"
    route = resource.canonical if resource else "other"
    with tracing.serving(method, route, traceparent) as span:
        response = await handler(request)
        span.set_attribute("http.response.status_code", response.status)
        if response.status >= 500:
            tracing.failed(span, str(response.status))
        return response
