"""POST /api/v1/transactions/{id}/label: what somebody who knows says of a transaction goes into the log.

Found, compared with the label that counts, published, stored: the agent (app.agents.labels) stores it as well, which
makes it certain; the bff does so only that its next GET shows it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from weakref import WeakValueDictionary

import faust
from aiohttp import web
from faust.web import View

from app.errors import LogUnavailable, NotPublished, Overloaded, StoreUnavailable
from app.messaging import topics
from app.models.label import LabelRequest, StoredLabel, answered, labelled
from app.observability import tracing
from app.resources import Resources
from app.web.answers import invalid, no_store, not_found
from app.web.openapi import operation
from app.web.paging import check_parameters
from app.web.problems import unavailable
from app.web.transaction_operations import LABEL
from app.web.transactions import KAFKA_AT_LEAST, PATH
from app.web.validation import InvalidRequest, body_of, check_content_type, check_id, parse_as

#: Seconds for storing what is in the log already.
STORE_WITHIN = 0.5

Find = Callable[[str], Awaitable[str | None]]


class LabelCalls:
    """What the view does; it only gives this its path."""

    def __init__(self, resources: Resources, find: Find):
        """`find`: a transaction as GET shows it."""
        self._resources = resources
        self._settings = resources.settings
        self._find = find
        # One after the other for each transaction: a double click is one label, and each knows which one it replaces.
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def post(self, request: web.Request, transaction_id: str) -> web.Response:
        """201 for a first label, 200 for the same again or another; 400, 404, 408, 413, 503."""
        try:
            check_parameters(request.query)
            check_id(transaction_id)
            check_content_type(request)
            body = await body_of(request, self._settings.body_timeout)
            wanted = parse_as(LabelRequest, body)
            found = await self._find(transaction_id)
            if found is None:
                return not_found(transaction_id)
            label, status = await self._label(json.loads(found), wanted)
        except InvalidRequest as exc:
            return invalid(exc)
        except LogUnavailable as exc:
            return _not_acknowledged(exc)
        except (StoreUnavailable, Overloaded) as exc:
            return no_store(exc)
        body = json.dumps(answered(label)).encode()
        return web.Response(status=status, body=body, content_type="application/json")

    async def _label(self, transaction: dict[str, object], wanted: LabelRequest) -> tuple[StoredLabel, int]:
        """The label that counts now, and the answer's status; LogUnavailable, StoreUnavailable."""
        transaction_id = str(transaction["transaction_id"])
        until = time.monotonic() + self._settings.publish_timeout
        async with self._turn(transaction_id, until):
            present = await self._resources.labels.find(transaction_id, self._settings.read_timeout)
            if present is not None and present["label"] == wanted.label:
                return present, 200
            label = labelled(transaction, wanted.label, present, int(time.time() * 1000))
            if not self._resources.is_open:
                raise NotPublished("the bff waits for Kafka and the registry since its start")
            value = self._resources.label.encode(label)
            with tracing.sending(topics.LABEL, transaction_id) as headers:
                patience = max(KAFKA_AT_LEAST, until - time.monotonic())
                await self._resources.producer.publish(topics.LABEL, transaction_id, value, patience, headers)
            with contextlib.suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(STORE_WITHIN):
                    await self._resources.labels.store([label])
            return label, 201 if present is None else 200

    @contextlib.asynccontextmanager
    async def _turn(self, transaction_id: str, until: float) -> AsyncIterator[None]:
        turn = self._turns.setdefault(transaction_id, asyncio.Lock())
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await turn.acquire()
        except TimeoutError:
            raise NotPublished("other calls label this transaction at the moment") from None
        try:
            yield
        finally:
            turn.release()


def register(app: faust.App, calls: LabelCalls) -> None:
    """Put the view on the app."""

    @app.page(PATH + "/{transaction_id}/label", name="label")
    class TransactionLabel(View):
        """POST the label of one."""

        @operation(LABEL)
        async def post(self, request: web.Request, transaction_id: str) -> web.Response:
            """See LabelCalls.post."""
            return await calls.post(request, transaction_id)

    del TransactionLabel  # the app holds it


def _not_acknowledged(exc: LogUnavailable) -> web.Response:
    outcome = "it was not taken" if isinstance(exc, NotPublished) else "it may still be taken"
    # A text of the client library may have addresses in it: that goes to the log.
    why = str(exc) if exc.__cause__ is None else "Kafka has not acknowledged it"
    return unavailable("Label not acknowledged", f"{why}; {outcome}", exc)
