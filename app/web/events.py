"""GET /api/v1/transactions/events: statuses as server-sent events, as they are published."""

from __future__ import annotations

import asyncio
import logging

import faust
from aiohttp import HttpVersion11, hdrs, web
from faust.web import View

from app.live.event_stream import EventStream, Vector, vector_of
from app.live.feed import LiveFeed
from app.live.resume import Resume
from app.models.status import Filter
from app.web import request_id
from app.web.answers import invalid
from app.web.openapi import operation
from app.web.paging import check_parameters, filter_of
from app.web.problems import unavailable
from app.web.transaction_operations import EVENTS
from app.web.transactions import PATH
from app.web.validation import InvalidRequest

log = logging.getLogger(__name__)

PARAMETERS = ("status", "customer_id", "last_event_id")
LAST_EVENT_ID = "Last-Event-ID"
#: Milliseconds after which a client comes back. Before the first event, so that proxies send the headers on.
HELLO = b"retry: 1000\n\n"
#: Characters of an id; a vector of a thousand partitions has fewer.
ID_MOST = 20_000


class ChunkedConnection:
    """A response's connection, written to without a task per client: the bytes are shared, aiohttp's framing too."""

    def __init__(self, transport: asyncio.Transport, *, chunked: bool):
        self._transport = transport
        self._chunked = chunked

    def write(self, data: bytes) -> None:
        """Without waiting."""
        if not self._transport.is_closing():
            self._transport.write(b"%x\r\n%s\r\n" % (len(data), data) if self._chunked else data)

    def waiting(self) -> int:
        """Bytes that were written and are not sent."""
        return self._transport.get_write_buffer_size()

    def is_closed(self) -> bool:
        """Whether the client has gone."""
        return self._transport.is_closing()

    def abort(self) -> None:
        """Drop the client."""
        self._transport.abort()


class Events:
    """What the view does."""

    def __init__(self, feed: LiveFeed, stream: EventStream, resume: Resume):
        self._feed = feed
        self._stream = stream
        self._resume = resume

    async def get(self, request: web.Request) -> web.StreamResponse:
        """200 with events until the client goes; 400, 503."""
        try:
            wants, seen = _wanted(request), _last_event_id(request)
        except InvalidRequest as exc:
            return invalid(exc)
        if self._stream.is_full:
            full = unavailable(
                "Too many listeners", "no more clients are served with events here", retry_after=5
            )
            full.force_close()  # who waits for a place must hold no connection meanwhile
            return full
        headers = {
            hdrs.CONTENT_TYPE: "text/event-stream",
            hdrs.CACHE_CONTROL: "no-store",
            "X-Accel-Buffering": "no",
            request_id.HEADER: request_id.current(),
        }
        response = web.StreamResponse(headers=headers)
        if request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(HELLO)
        if request.method != hdrs.METH_HEAD and isinstance(request.transport, asyncio.Transport):
            connection = ChunkedConnection(request.transport, chunked=response.chunked)
            await self._serve(connection, wants, seen)
        response.force_close()
        return response

    async def _serve(self, connection: ChunkedConnection, wants: Filter, seen: Vector | None) -> None:
        self._feed.begin_at(seen or {})
        with self._feed.in_use(), self._stream.client(connection, wants) as client:
            try:
                async with asyncio.TaskGroup() as tasks:
                    joining = tasks.create_task(self._resume.join(client, seen))
                    await client.gone.wait()
                    joining.cancel()
            except* Exception:  # the answer has begun, so it can only end
                log.exception(
                    "Request %s: the events ended: an unexpected exception (a bug)", request_id.current()
                )


def register(app: faust.App, events: Events) -> None:
    """Put the view on the app; before that of single transactions, whose path takes any id."""

    @app.page(PATH + "/events", name="events")
    class TransactionEvents(View):
        """Statuses as they are published."""

        @operation(EVENTS)
        async def get(self, request: web.Request) -> web.StreamResponse:
            """See Events.get."""
            return await events.get(request)

    del TransactionEvents  # the app holds it


def _wanted(request: web.Request) -> Filter:
    check_parameters(request.query, PARAMETERS)
    return filter_of(request.query) or Filter()


def _last_event_id(request: web.Request) -> Vector | None:
    """The header, as browsers send it, or the parameter, for who begins with an id."""
    text = request.headers.get(LAST_EVENT_ID) or request.query.get("last_event_id")
    if not text:
        return None
    try:
        return vector_of(text[:ID_MOST])
    except ValueError:
        reason = "is not an id of this stream; leave it out to begin with what comes"
        raise InvalidRequest([{"field": LAST_EVENT_ID, "reason": reason}]) from None
