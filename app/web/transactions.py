"""HTTP in: POST puts a transaction into the log, GET shows transactions and their status."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial

import faust
from aiohttp import web
from faust.web import View

from app.errors import LogUnavailable, NotPublished, Overloaded, StoreUnavailable
from app.live.waits import StatusWaits
from app.messaging import topics
from app.models.transaction import ID_HEADER, Transaction, new_transaction
from app.observability import tracing
from app.observability.transaction_logger import TransactionLogger
from app.read_model.filtered import filtered
from app.read_model.pending_writer import PendingWriter
from app.read_model.read_model import Listing, ReadModel
from app.read_model.shown_labels import ShownLabels
from app.resources import Resources
from app.web import idempotency
from app.web.answers import invalid, no_store, not_found
from app.web.conditional import conditional
from app.web.openapi import operation
from app.web.paging import (
    FIND_PARAMETERS,
    LIST_PARAMETERS,
    check_parameters,
    cursor_of,
    filter_of,
    key_of,
    limit_of,
    wait_of,
)
from app.web.problems import unavailable
from app.web.transaction_operations import FIND, POST, list_operation
from app.web.validation import InvalidRequest, body_of, check_content_type, check_id, parse

PATH = "/api/v1/transactions"
UNKNOWN = "whether the transaction was taken is not known, it may still be"
#: Seconds that a record has for Kafka's acknowledgement.
KAFKA_AT_LEAST = 0.2
#: Seconds in which other bffs get to know of it, even when Kafka has used up all the time.
NOTED_AT_LEAST = 0.05


class Calls:
    """What the views do, a call a method; the views below only give them their paths."""

    def __init__(
        self,
        resources: Resources,
        transaction_logger: TransactionLogger,
        reads: ReadModel,
        pending: PendingWriter,
        waits: StatusWaits,
        acknowledged: Callable[[str], None],
        is_alone: Callable[[], bool],
    ):
        """`is_alone`: whether no other bff shows what this one takes."""
        self._resources = resources
        self._settings = resources.settings
        self._transaction_logger = transaction_logger
        self._reads = reads
        self._pending = pending
        self._waits = waits
        self._acknowledged = acknowledged
        self._is_alone = is_alone
        self._labels = ShownLabels(resources.labels)
        self._keys = idempotency.Keys(resources.idempotency, self._settings.idempotency_lease)

    async def post(self, request: web.Request) -> web.Response:
        """201 once Kafka has acknowledged the record; 400, 408, 413, 503; with an Idempotency-Key also 409, 422."""
        try:
            check_content_type(request)
            body = await body_of(request, self._settings.body_timeout)
            until = time.monotonic() + self._settings.publish_timeout
            transaction = new_transaction(parse(body))
            transaction_id = transaction["transaction_id"]
            if idempotency.HEADER in request.headers:
                take = partial(self._take, until=until)
                transaction_id = await self._keys.once(request, body, transaction, take)
            else:
                await self._take(transaction, until)
        except InvalidRequest as exc:
            return invalid(exc)
        except idempotency.Refused as exc:
            return exc.answer
        except LogUnavailable as exc:
            return _not_acknowledged(exc)
        answer = _json(f'{{"transaction_id": "{transaction_id}"}}', 201)
        answer.headers["Location"] = f"{PATH}/{transaction_id}"
        return answer

    async def _take(self, transaction: Transaction, until: float) -> None:
        """Into the log, `until` (of time.monotonic) or LogUnavailable; then show it as pending."""
        await self._publish(transaction, until)
        self._acknowledged(transaction["transaction_id"])
        self._pending.add(transaction)
        if not self._is_alone():
            await self._pending.written(max(NOTED_AT_LEAST, until - time.monotonic()))
        self._transaction_logger.arrived(transaction["transaction_id"])

    async def _publish(self, transaction: Transaction, until: float) -> None:
        if not self._resources.is_open:
            raise NotPublished("the bff waits for Kafka and the registry since its start")
        value = self._resources.created.encode(transaction)
        # Also where taking an Idempotency-Key has used all the time, Kafka gets a moment.
        patience = max(KAFKA_AT_LEAST, until - time.monotonic())
        key, id_ = transaction["customer_id"], transaction["transaction_id"]
        with tracing.sending(topics.CREATED, id_) as trace:
            headers = [(ID_HEADER, id_.encode()), *trace]
            await self._resources.producer.publish(topics.CREATED, key, value, patience, headers)

    async def list(self, request: web.Request) -> web.Response:
        """200 with a page, newest first; 400, 503."""
        try:
            check_parameters(request.query, LIST_PARAMETERS)
            limit = limit_of(request.query.get("limit"), self._settings.page_limit)
            before, wanted = key_of(request.query.get("cursor")), filter_of(request.query)
            if wanted is None:
                listing = await self._reads.newest(limit, before)
            else:
                listing = await filtered(self._reads.newest, wanted, limit, before)
        except InvalidRequest as exc:
            return invalid(exc)
        except (StoreUnavailable, Overloaded) as exc:
            return no_store(exc)
        return _json(_page(listing))

    async def find(self, request: web.Request, transaction_id: str) -> web.Response:
        """200 with the transaction, its assessment and label, 304 if the client has it; 400, 404, 503.

        With `wait`, once it is decided or the time is over.
        """
        try:
            check_parameters(request.query, FIND_PARAMETERS)
            check_id(transaction_id)
            until = time.monotonic() + wait_of(request.query.get("wait"))
            found = await self._waits.until(until, lambda: self.found(transaction_id), transaction_id)
        except InvalidRequest as exc:
            return invalid(exc)
        except (StoreUnavailable, Overloaded) as exc:
            return no_store(exc)
        if found is None:
            return not_found(transaction_id)
        return conditional(request, (await self._with_label(found)).encode(), "application/json")

    async def _with_label(self, found: str) -> str:
        label = await self._labels.of(json.loads(found)["transaction_id"])
        return f"{found[:-1]}, {json.dumps(label)[1:]}" if label else found

    async def found(self, transaction_id: str) -> str | None:
        """One as JSON, without its label, by an id as it is written or in lower case.

        RFC 9562 has UUIDs taken so, and all of ours are in lower case.
        """
        found = await self._reads.find(transaction_id)
        lower = transaction_id.lower()
        return await self._reads.find(lower) if found is None and lower != transaction_id else found


def register(app: faust.App, calls: Calls, page_limit: int) -> None:
    """Put the views on the app; a page of the list has `page_limit` entries at most."""

    @app.page(PATH, name="transactions")
    class Transactions(View):
        """POST one, GET the newest."""

        @operation(POST)
        async def post(self, request: web.Request) -> web.Response:
            """See Calls.post."""
            return await calls.post(request)

        @operation(list_operation(page_limit))
        async def get(self, request: web.Request) -> web.Response:
            """See Calls.list."""
            return await calls.list(request)

    @app.page(PATH + "/{transaction_id}", name="transaction")
    class OneTransaction(View):
        """GET one by its id."""

        @operation(FIND)
        async def get(self, request: web.Request, transaction_id: str) -> web.Response:
            """See Calls.find."""
            return await calls.find(request, transaction_id)

    del Transactions, OneTransaction  # the app holds them


def _page(listing: Listing) -> str:
    cursor = cursor_of(listing.last_key)
    ends = f'"next_cursor": "{cursor}"' if cursor else '"next_cursor": null'
    missing = json.dumps(listing.may_lack)
    rebuilt = ', "being_rebuilt": true' if listing.being_rebuilt else ""
    settled = ', "settled_may_be_missing": true' if listing.one_replica else ""
    return (
        f'{{"transactions": [{", ".join(listing.entries)}], {ends}, '
        f'"source": "{listing.source}", "pending_may_be_missing": {missing}{settled}{rebuilt}}}'
    )


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, body=text.encode(), content_type="application/json")


def _not_acknowledged(exc: LogUnavailable) -> web.Response:
    outcome = "the transaction was not taken" if isinstance(exc, NotPublished) else UNKNOWN
    # A text of the client library may have addresses in it: that goes to the log.
    why = str(exc) if exc.__cause__ is None else "Kafka has not acknowledged it"
    return unavailable("Not acknowledged", f"{why}; {outcome}", exc)
