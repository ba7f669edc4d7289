"""Faust's web server with bounds: what a client may hold, for how long; the headers of every answer; what is not HTTP.

Faust makes its aiohttp runner with the defaults: an hour for the headers, no bound for connections, and a stack trace
in the log for each malformed request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from faust.web.drivers.aiohttp import Web

from app.settings import Settings
from app.web import cors, recent_answers, request_id
from app.web.problems import problem, refused
from app.web.refusal import Refusals

log = logging.getLogger(__name__)

#: Seconds that what is left of a body is read after the answer, so that the client sees the answer.
LINGER = 1.0
#: Seconds a new connection has for the headers of its first request.
FIRST_REQUEST = 30.0


class Protocol(RequestHandler):
    """One connection. Its slots are aiohttp's, so the time to take an answer is the class's."""

    __slots__ = ()
    answer_timeout = 30.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A new connection waits for its first request a shorter time than one in use may be idle."""
        super().connection_made(transport)
        within = min(FIRST_REQUEST, self.keepalive_timeout)
        if self._keepalive_handle is not None:
            self._keepalive_handle.cancel()
        # aiohttp's own check: it comes again by itself once a first answer has moved the time.
        self._next_keepalive_close_time = self._loop.time() + within
        self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or over its bounds: 400 without the client's bytes in the answer or the log."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client has gone, aiohttp lets it
        id_ = request_id.begin(request)
        if status >= 500:
            self.log_exception(
                "Request %s: %d, raised an unexpected exception (a bug)", id_, status, exc_info=exc
            )
            answer = problem(
                status, "Internal error", "an unexpected error; the log has it under this request_id"
            )
        else:
            log.debug("%s: no HTTP: %s", request.remote, type(exc).__name__)
            answer = problem(status, "Bad request", "malformed HTTP request, or its headers are too large")
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Every answer comes through here, also those that no middleware sees: a 400 of the parser, a 417."""
        request_id.begin(request)
        if isinstance(resp, web.HTTPException) and resp.status >= 400:
            resp = refused(resp, request)
        if isinstance(resp, web.StreamResponse):  # else aiohttp answers 500
            if not resp.prepared:
                request_id.mark(request, resp)
            recent_answers.note(request, resp)
        return await super().finish_response(request, resp, start_time)

    async def _drain_helper(self) -> None:
        """Wait for a client to take an answer that is too large to be sent at once; one that does not is cut off."""
        try:
            async with asyncio.timeout(self.answer_timeout):
                await super()._drain_helper()
        except TimeoutError as exc:
            if self.transport is not None:
                self.transport.abort()
            raise ConnectionResetError("the client does not take its answer") from exc


class Server(web.Server):
    """The connections: ours, and no more than the bound."""

    def __init__(self, plain: web.Server, most: int, **kwargs: Any):
        super().__init__(plain.request_handler, request_factory=plain.request_factory, **kwargs)
        self._most = most
        self._refusals = Refusals()

    def __call__(self) -> RequestHandler:
        """The protocol of a new connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """One more; beyond the bound it is refused at once: files are needed for Kafka and Cassandra too."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._most:
            self._loop.call_soon(
                self._refuse, handler, transport
            )  # not now: the handler's task is about to be made

    def _refuse(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        if self._refusals.take(transport):
            handler.transport = None  # so that it is not closed with the handler
            self._loop.call_soon(handler.connection_lost, None)  # when its task has begun, and ended
        handler.force_close()


class Runner(web.AppRunner):
    """Makes our server in place of aiohttp's."""

    def __init__(self, app: web.Application, most: int, **kwargs: Any):
        super().__init__(app, **kwargs)
        self._most = most

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return Server(plain, self._most, **plain._kwargs)  # noqa: SLF001  # what aiohttp and we asked for


class BoundedWeb(Web):
    """Faust's web driver with our runner."""

    def __init__(self, app: Any, settings: Settings):
        super().__init__(app)
        prepare = self.web_app.on_response_prepare
        prepare.append(_add_headers)
        if settings.cors_origins:
            prepare.append(cors.allowing(settings.cors_origins.split(",")))
        self._runner = Runner(
            self.web_app,
            settings.max_connections,
            access_log=None,
            keepalive_timeout=settings.idle_timeout,
            lingering_time=LINGER,
            auto_decompress=False,  # a body of 16 KB needs none, and a small one may unpack to a large one
        )

    def route(self, pattern: str, handler: Callable[..., Any], cors_options: object = None) -> None:
        """As Faust's, with HEAD only where there is a GET: without one Faust's own text would answer it."""

        async def dispatch(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await handler(request)
            return answer

        methods = handler.get_methods()  # type: ignore[attr-defined]  # of a view
        for method in sorted(methods if "GET" in methods else methods - {"HEAD"}):
            self.web_app.router.add_route(method, pattern, dispatch)


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Before any answer goes out; a stream's headers go long before its handler has ended."""
    # A browser shows the JSON of a customer's text as JSON, whatever it looks like.
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request_id.HEADER not in response.headers:
        request_id.mark(request, response)
