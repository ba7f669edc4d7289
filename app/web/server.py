"""Faust's web server with bounds: what a client may hold, for how long; the headers of every answer; what is not HTTP.

Faust makes its aiohttp runner with the defaults: an hour for the headers, no bound for connections, and a stack trace
in the log for each malformed request.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from faust.web.drivers.aiohttp import Web

from app.errors import WrongFile
from app.resources import run_forever
from app.settings import Settings
from app.web import cors, files, recent_answers, request_id
from app.web.access import Access
from app.web.openapi import operation_of
from app.web.problems import problem, refused
from app.web.refusal import Refusals
from app.web.tls import Certificate

log = logging.getLogger(__name__)

#: Seconds that what is left of a body is read after the answer, so that the client sees the answer.
LINGER = 1.0
#: Seconds a new connection has for the headers of its first request.
FIRST_REQUEST = 30.0
#: Seconds for a TLS handshake: until it is over a connection is none of those that are counted.
HANDSHAKE = 10.0

#: What is on the management port alone, if there is one.
OF_MANAGEMENT = ("/metrics", "/openapi.json", "/asyncapi.json", "/docs", "/docs/{name}")
#: What is on both ports: load balancers ask the one, those who look after the process the other.
ON_BOTH = ("/health/live", "/health/ready")

Dispatch = Callable[[web.Request], Awaitable[web.StreamResponse]]


class CannotStart(Exception):
    """Settings or files with which nothing may be served; the text says what to set."""


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


class Site(web.TCPSite):
    """A listening socket; aiohttp's has a minute for a TLS handshake."""

    async def start(self) -> None:
        """Listen."""
        await web.BaseSite.start(self)
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            ssl_handshake_timeout=HANDSHAKE if self._ssl_context else None,
            backlog=self._backlog,
        )


class BoundedWeb(Web):
    """Faust's web driver with our runner, and what keeps others out."""

    def __init__(self, app: Any, settings: Settings):
        super().__init__(app)
        self._settings = settings
        self.access = Access(settings) if settings.tokens_file else None
        self._certificate = Certificate(settings) if settings.tls_certificate else None
        self._files = [each for each in (self.access, self._certificate) if each is not None]
        self._jobs: list[asyncio.Task[None]] = []
        self._runner = self._made_runner(self.web_app)
        self.management_app: web.Application | None = None
        if settings.management_port:
            self.management_app = web.Application(**app.conf.web_application_options)
            self._management_runner = self._made_runner(self.management_app)

    def _made_runner(self, web_app: web.Application) -> Runner:
        web_app.on_response_prepare.append(_add_headers)
        if self._settings.cors_origins:
            web_app.on_response_prepare.append(cors.allowing(self._settings.cors_origins.split(",")))
        return Runner(
            web_app,
            self._settings.max_connections,
            access_log=None,
            keepalive_timeout=self._settings.idle_timeout,
            lingering_time=LINGER,
            auto_decompress=False,  # a body of 16 KB needs none, and a small one may unpack to a large one
        )

    def check(self) -> None:
        """Read tokens and certificate; CannotStart where these are wrong, or missing and other machines reach us."""
        values, host = self._settings, self.app.conf.web_bind
        if bool(values.tls_certificate) != bool(values.tls_key):
            raise CannotStart("TLS_CERTIFICATE and TLS_KEY belong together: set both or none")
        if values.rate_limit and not values.tokens_file:
            raise CannotStart("RATE_LIMIT is a limit for each token: set TOKENS_FILE too")
        if not is_loopback(host) and (missing := self._missing()):
            raise CannotStart(f"other machines reach {host} (LISTEN_HOST). {missing} See docs/security.md")
        try:
            for each in self._files:
                log.info("In use: %s", each.load())
        except WrongFile as exc:
            raise CannotStart(str(exc)) from exc

    def _missing(self) -> str:
        """What to set, empty if it is enough."""
        values = self._settings
        if values.allow_insecure == "1":
            return ""
        missing, unless = [], "ALLOW_INSECURE=tls where a proxy in front has TLS"
        if not values.tokens_file:
            missing, unless = ["TOKENS_FILE"], "ALLOW_INSECURE=1 where nobody else gets there"
        if not values.tls_certificate and not values.allow_insecure:
            missing.append("TLS_CERTIFICATE with TLS_KEY")
        return f"Set {' and '.join(missing)}, or {unless}." if missing else ""

    async def start_server(self) -> None:
        """Listen, and look after the files from then on."""
        conf = self.app.conf
        context: ssl.SSLContext | None = self._certificate.context if self._certificate else None
        await self._runner.setup()
        await Site(self._runner, conf.web_bind, conf.web_port, ssl_context=context).start()
        if self.management_app is not None:
            await self._management_runner.setup()
            host, port = self._settings.management_host, self._settings.management_port
            await Site(self._management_runner, host, port).start()
        if self._files:
            self._jobs = [asyncio.create_task(run_forever(self._keep_current))]

    async def stop_server(self) -> None:
        """No longer."""
        for job in self._jobs:
            job.cancel()
        if self.management_app is not None:
            await self._management_runner.cleanup()
        await super().stop_server()

    async def _keep_current(self) -> None:
        await files.keep_current(self._files)

    def shows_details(self, request: web.Request) -> bool:
        """Whether whoever asks may know how our parts are: a stranger may where neither tokens nor a port keep them."""
        if self.management_app is not None and request.app is self.management_app:
            return True
        if self.access is not None:
            return self.access.may_read(request)
        return self.management_app is None

    def route(self, pattern: str, handler: Callable[..., Any], cors_options: object = None) -> None:
        """As Faust's, with HEAD only where there is a GET: without one Faust's own text would answer it."""

        async def dispatch(request: web.Request) -> web.StreamResponse:
            answer: web.StreamResponse = await handler(request)
            return answer

        methods = handler.get_methods()  # type: ignore[attr-defined]  # of a view
        for method in sorted(methods if "GET" in methods else methods - {"HEAD"}):
            handle = self._of_known_pages(dispatch) if method == "POST" else dispatch
            if self.management_app is not None and pattern in (*OF_MANAGEMENT, *ON_BOTH):
                self.management_app.router.add_route(method, pattern, handle)
            if self.management_app is None or pattern not in OF_MANAGEMENT:
                self.web_app.router.add_route(method, pattern, self._guarded(handle, handler, method))

    def _of_known_pages(self, dispatch: Dispatch) -> Dispatch:
        """Not for other sites' pages: without a content type a browser sends a POST before it asks whether it may."""
        origins = {*self._settings.cors_origins.split(",")}

        async def asked(request: web.Request) -> web.StreamResponse:
            if cors.is_foreign(request) and not origins & {cors.ANY, request.headers["Origin"]}:
                detail = "a browser may make this call for pages of this server and of CORS_ORIGINS alone"
                return problem(403, "Foreign origin", detail)
            return await dispatch(request)

        return asked

    def _guarded(self, dispatch: Dispatch, view: object, method: str) -> Dispatch:
        """With a look at the request's token; without tokens as it was, at no cost."""
        said, access = operation_of(view, method), self.access
        if access is None or said is None or not said.scope:
            return dispatch
        scope = said.scope

        async def guarded(request: web.Request) -> web.StreamResponse:
            refusal = access.refusal(request, scope)
            return refusal if refusal is not None else await dispatch(request)

        return guarded


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Before any answer goes out; a stream's headers go long before its handler has ended."""
    # A browser shows the JSON of a customer's text as JSON, whatever it looks like.
    response.headers["X-Content-Type-Options"] = "nosniff"
    if request_id.HEADER not in response.headers:
        request_id.mark(request, response)
