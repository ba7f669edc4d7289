"""A page of those that a filter wants: the list is looked through, so far and no farther in one request."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from pydantic_core import from_json

from app.models.status import Filter, key_of_row
from app.read_model.read_model import Listing

#: Transactions that one request looks at, at most, and in about how many seconds; then it answers what it has found.
LOOKED_AT_MOST = 2000
SECONDS_MOST = 0.5
#: Transactions read at a time: a moment's work for a store, and for our event loop.
AT_ONCE = 500

Newest = Callable[[int, str | None], Awaitable[Listing]]


async def filtered(newest: Newest, wanted: Filter, limit: int, before: str | None) -> Listing:
    """At most `limit` entries, newest first; fewer, with a `last_key` to go on, where that was a long way.

    `newest` gives a page of all, as ReadModel.newest; StoreUnavailable as it says.
    """
    until = time.monotonic() + SECONDS_MOST
    found: list[str] = []
    pages: list[Listing] = []
    size, looked_at = min(max(2 * limit, 100), AT_ONCE), 0
    while True:
        page = await newest(size, before)
        pages.append(page)
        for entry in page.entries:
            transaction = from_json(entry)
            if wanted.fits(transaction["status"], transaction["customer_id"]):
                found.append(entry)
                if len(found) == limit:
                    return _as_one(pages, found, key_of_row(transaction))
        before, looked_at = page.last_key, looked_at + size
        if before is None or looked_at >= LOOKED_AT_MOST or time.monotonic() >= until:
            return _as_one(pages, found, before)
        size = AT_ONCE


def _as_one(pages: list[Listing], found: list[str], last_key: str | None) -> Listing:
    """What any of the pages may lack, the answer may."""
    return Listing(
        found,
        last_key,
        "redis" if all(page.source == "redis" for page in pages) else "cassandra",
        any(page.may_lack for page in pages),
        any(page.being_rebuilt for page in pages),
        any(page.one_replica for page in pages),
    )
