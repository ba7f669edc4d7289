"""POST with an Idempotency-Key: the same key and body are one transaction, whatever died in between.

A key's way, each step a lightweight transaction (docs/decisions/0006):

free ──take──► held ──Kafka's ack──► acknowledged ──24 h──► free
               │  └─ its process died: the lease ends, and the next retry takes it over with the same transaction_id
               └─ another call meanwhile: 409
"""

from __future__ import annotations

import hashlib
import logging
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from app.errors import StoreUnavailable
from app.models.transaction import Transaction, with_id
from app.stores.idempotency_table import Entry
from app.web.access import CLIENT
from app.web.problems import problem, unavailable
from app.web.validation import InvalidRequest

log = logging.getLogger(__name__)

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")

Publish = Callable[[Transaction], Awaitable[None]]


class Table(Protocol):
    """See app.stores.idempotency_table."""

    async def take(self, key: str, entry: Entry) -> Entry:
        """Who has the key now."""

    async def take_over(self, key: str, before: Entry, after: Entry) -> bool:
        """Whether `after` has it now."""

    async def acknowledge(self, key: str, entry: Entry) -> None:
        """It is in the log."""


class Refused(Exception):
    """The call cannot be answered with a transaction; carries the answer."""

    def __init__(self, answer: web.Response):
        super().__init__(answer.status)
        self.answer = answer


class Keys:
    """The keys that this process works on, and the table of all."""

    def __init__(self, table: Table, lease: float):
        """`lease`: seconds until another process may finish what this one began."""
        self._table = table
        self._lease = lease
        self._holder = str(uuid.uuid4())  # a process that is started again is another one
        self._at_work: dict[str, str] = {}

    async def once(
        self, request: web.Request, body: bytes, transaction: Transaction, publish: Publish
    ) -> str:
        """The key's transaction_id, its record in the log; InvalidRequest, Refused, and what `publish` raises."""
        key, body_hash = _row_of(request), hashlib.sha256(body).hexdigest()
        if key in self._at_work:
            raise _in_progress(1) if self._at_work[key] == body_hash else _another_body()
        self._at_work[key] = body_hash
        try:
            return await self._once(key, body_hash, transaction, publish)
        finally:
            del self._at_work[key]

    async def _once(self, key: str, body_hash: str, transaction: Transaction, publish: Publish) -> str:
        entry = await self._held(key, body_hash, transaction["transaction_id"])
        if not entry.acknowledged:
            await publish(with_id(transaction, entry.transaction_id))
            await self._acknowledge(key, entry)
        return entry.transaction_id

    async def _held(self, key: str, body_hash: str, new_id: str) -> Entry:
        """The key's entry, ours to finish or acknowledged already; Refused."""
        now = int(time.time() * 1000)
        ours = Entry(body_hash, new_id, self._holder, now + int(self._lease * 1000))
        try:
            found = await self._table.take(key, ours)
            if found.body_hash != body_hash:
                raise _another_body()
            if found == ours or found.acknowledged:
                return found
            if found.holder != self._holder and found.lease_until > now:
                raise _in_progress(math.ceil((found.lease_until - now) / 1000))
            ours = replace(ours, transaction_id=found.transaction_id)
            if not await self._table.take_over(key, found, ours):
                raise _in_progress(1)
        except StoreUnavailable as exc:
            raise _nobody_knows(exc) from exc
        return ours

    async def _acknowledge(self, key: str, entry: Entry) -> None:
        try:
            await self._table.acknowledge(key, entry)
        except StoreUnavailable as exc:
            # The record is in the log. A retry puts it there once more, and the transactions worker decides it once.
            log.debug("An Idempotency-Key stays unacknowledged: %s", exc)


def key_of(request: web.Request) -> str:
    """The header's value, without the quotes of a structured field's string; InvalidRequest.

    The IETF draft has the key as such a string, most clients send it bare: both are one key.
    """
    values = request.headers.getall(HEADER)
    key = values[0]
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if len(values) != 1 or not _KEY.fullmatch(key):
        reason = "must be given once, with 1 to 255 printable ASCII characters and no space"
        raise InvalidRequest([{"field": HEADER, "reason": reason}])
    return key


def _row_of(request: web.Request) -> str:
    """The key in the table; each client with a token has keys of its own.

    By the name that the token has, which outlives its rotation. A key has no space, so no two are the same row.
    """
    key = key_of(request)
    return f"{request[CLIENT]} {key}" if CLIENT in request else key


def _another_body() -> Refused:
    detail = "the same key came with another body; use a new key"
    return Refused(problem(422, "Idempotency-Key was used before", detail))


def _in_progress(retry_after: int) -> Refused:
    detail = "a call with this Idempotency-Key is at work; try again"
    return Refused(problem(409, "In progress", detail, headers={"Retry-After": str(retry_after)}))


def _nobody_knows(because: StoreUnavailable) -> Refused:
    detail = "it cannot be determined whether this Idempotency-Key was used before; this call took nothing"
    return Refused(unavailable("Idempotency store unavailable", detail, because))
