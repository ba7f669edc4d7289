"""HTTP in: POST puts a transaction into the log, GET shows transactions and their status."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any

import faust
from aiohttp import web
from faust.web import View

from app import topics
from app.clients.redis import Entry, pending_entry
from app.errors import LogUnavailable, StoreUnavailable
from app.models.transaction import Transaction, new_transaction
from app.narration import Narrator
from app.read_model import Listing, ReadModel
from app.resources import Resources
from app.web.paging import cursor_of, key_of, limit_of
from app.web.problems import problem
from app.web.validation import INVALID, InvalidRequest, check_content_type, parse

log = logging.getLogger(__name__)

PATH = "/api/v1/transactions"
RETRY_AFTER = {"Retry-After": "1"}
PENDING_AT_MOST = 10_000
ID_AT_MOST = 255


class PendingNotes:
    """Transactions that Redis shall show as pending: best effort, in the background, bounded; never delays a POST."""

    def __init__(self, resources: Resources):
        self._recent = resources.recent
        self._entries: deque[Entry] = deque(maxlen=PENDING_AT_MOST)
        self._some = asyncio.Event()

    def note(self, transaction: Transaction) -> None:
        """Show it as pending, soon."""
        self._entries.append(pending_entry(transaction))
        self._some.set()

    async def run(self) -> None:
        """Write what was noted, all at once, again and again; what Redis does not take is let go."""
        while True:
            await self._some.wait()
            self._some.clear()
            entries = list(self._entries)
            self._entries.clear()
            try:
                await self._recent.remember(entries)
            except StoreUnavailable:
                await asyncio.sleep(1)  # their verdicts will come by the status topic


def register(app: faust.App, resources: Resources, narrator: Narrator, reads: ReadModel) -> PendingNotes:
    """Put the views on the app; gives the background writer that they feed."""
    pending = PendingNotes(resources)
    settings = resources.settings

    @app.page(PATH, name="transactions")
    class Transactions(View):  # type: ignore[misc]
        """POST one, GET the newest."""

        async def post(self, request: web.Request) -> web.Response:
            """201 once Kafka has acknowledged the record; 400, 413, 503."""
            try:
                check_content_type(request)
                wanted = parse(await request.read())
            except InvalidRequest as exc:
                return _invalid(exc)
            if not resources.is_open:
                return _unknown(LogUnavailable("the bff waits for Kafka and the registry since its start"))
            transaction = new_transaction(wanted)
            value = resources.created.encode(transaction)
            try:
                await resources.log.publish(
                    topics.CREATED, transaction["transaction_id"], value, settings.publish_timeout
                )
            except LogUnavailable as exc:
                return _unknown(exc)
            pending.note(transaction)
            narrator.arrived(transaction["transaction_id"])
            return _json(f'{{"transaction_id": "{transaction["transaction_id"]}"}}', 201)

        async def get(self, request: web.Request) -> web.Response:
            """200 with a page, newest first; 400, 503."""
            try:
                limit = limit_of(request.query.get("limit"), settings.page_limit)
                listing = await reads.newest(limit, key_of(request.query.get("cursor")))
            except InvalidRequest as exc:
                return _invalid(exc)
            except StoreUnavailable as exc:
                return _no_store(exc)
            return _json(_page(listing))

    @app.page(PATH + "/{transaction_id}", name="transaction")
    class OneTransaction(View):  # type: ignore[misc]
        """GET one by its id."""

        async def get(self, request: web.Request, transaction_id: str) -> web.Response:
            """200 with the transaction and its assessment; 400, 404, 503."""
            if len(transaction_id) > ID_AT_MOST or not transaction_id.isprintable():
                reason = f"must be printable, with 1 to {ID_AT_MOST} characters"
                return _invalid(InvalidRequest([{"field": "transaction_id", "reason": reason}]))
            try:
                found = await reads.find(transaction_id)
            except StoreUnavailable as exc:
                return _no_store(exc)
            if found is None:
                return problem(404, "Not found", f"no transaction has the id {transaction_id}")
            return _json(found)

    del Transactions, OneTransaction  # the app holds them
    return pending


def _page(listing: Listing) -> str:
    cursor = cursor_of(listing.last_key)
    ends = f'"next_cursor": "{cursor}"' if cursor else '"next_cursor": null'
    missing = "true" if listing.source == "cassandra" else "false"
    return (
        f'{{"transactions": [{", ".join(listing.entries)}], {ends}, '
        f'"source": "{listing.source}", "pending_may_be_missing": {missing}}}'
    )


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(status=status, body=text.encode(), content_type="application/json")


def _invalid(exc: InvalidRequest) -> web.Response:
    return problem(400, INVALID, str(exc), exc.errors)


def _unknown(exc: LogUnavailable) -> web.Response:
    log.debug("POST answered 503: %s", exc)
    detail = (
        f"{exc}; whether the transaction was taken is not known. "
        "A retry with the same Idempotency-Key cannot be taken twice"
    )
    return problem(503, "Not acknowledged", detail, headers=RETRY_AFTER)


def _no_store(exc: StoreUnavailable) -> web.Response:
    return problem(503, "Not readable now", f"neither Redis nor Cassandra answers: {exc}", headers=RETRY_AFTER)


