"""A filtered list: complete page by page, and no request looks through more than its bound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest

from app.models.status import STATUSES, Filter, key_of_row
from app.read_model import filtered as module
from app.read_model.filtered import AT_ONCE, LOOKED_AT_MOST, filtered
from app.read_model.read_model import Listing
from app.web.paging import filter_of
from app.web.transactions import PATH
from app.web.validation import InvalidRequest
from tests.unit.samples import transaction
from tests.unit.site import call


class Store:
    """A list of so many, newest first: every third of customer c0, c1, c2, each status in turn; counts its reads."""

    def __init__(self, count: int) -> None:
        self.entries: list[Any] = []
        for number in range(count, 0, -1):
            one = transaction(
                transaction_id=f"01890000-0000-7000-8000-{number:012x}", customer_id=f"c{number % 3}"
            )
            self.entries.append({**one, "status": STATUSES[number // 3 % 3]})
        self.read: list[int] = []
        self.changes: Sequence[dict[str, Any]] = ()

    async def newest(self, limit: int, before: str | None) -> Listing:
        self.read.append(limit)
        rest = [entry for entry in self.entries if before is None or key_of_row(entry) < before]
        page = rest[:limit]
        last = key_of_row(page[-1]) if len(page) == limit else None
        listing = Listing([json.dumps(entry) for entry in page], last, "redis", may_lack=False)
        number = len(self.read) - 1
        return replace(listing, **self.changes[number]) if number < len(self.changes) else listing


def every_page(store: Store, wanted: Filter, limit: int) -> list[list[dict[str, Any]]]:
    pages, before, first = [], None, True
    while first or before:
        listing = asyncio.run(filtered(store.newest, wanted, limit, before))
        pages.append([json.loads(entry) for entry in listing.entries])
        before, first = listing.last_key, False
    return pages


@pytest.mark.parametrize(
    "wanted", [Filter("pending"), Filter(None, "c1"), Filter("rejected", "c0"), Filter("accepted", "nobody")]
)
@pytest.mark.parametrize("limit", [1, 7, 100])
def test_page_by_page_all_are_given_once_and_in_order(wanted: Filter, limit: int) -> None:
    store = Store(250)
    pages = every_page(store, wanted, limit)
    fitting = [one for one in store.entries if wanted.fits(one["status"], one["customer_id"])]
    assert list(chain.from_iterable(pages)) == fitting
    assert max(map(len, pages)) <= limit


def test_one_request_looks_at_no_more_than_its_bound_and_says_how_to_go_on() -> None:
    store = Store(LOOKED_AT_MOST + 2 * AT_ONCE)
    listing = asyncio.run(filtered(store.newest, Filter(None, "nobody"), 10, None))
    assert sum(store.read) < LOOKED_AT_MOST + AT_ONCE
    assert listing.entries == []
    assert listing.last_key is not None


def test_a_slow_store_ends_a_request_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SECONDS_MOST", 0)
    store = Store(3000)
    listing = asyncio.run(filtered(store.newest, Filter(None, "nobody"), 10, None))
    assert len(store.read) == 1
    assert listing.last_key is not None


def test_what_one_part_may_lack_the_answer_may() -> None:
    store = Store(1000)
    store.changes = [{"source": "cassandra", "may_lack": True, "being_rebuilt": True, "one_replica": True}]
    listing = asyncio.run(filtered(store.newest, Filter(None, "nobody"), 10, None))
    assert len(store.read) > 1
    assert (listing.source, listing.may_lack, listing.being_rebuilt, listing.one_replica) == (
        "cassandra",
        True,
        True,
        True,
    )


@pytest.mark.parametrize(
    ("query", "field", "reason"),
    [
        ("status=done", "status", "must be one of pending, accepted, rejected"),
        ("status=", "status", "must be one of"),
        ("status=Accepted", "status", "must be one of"),
        ("status=pending&status=accepted", "status", "is given more than once"),
        ("limit=1&limit=2", "limit", "is given more than once"),
        ("customer_id=", "customer_id", "must have 1 to 255 characters"),
        (f"customer_id={'x' * 256}", "customer_id", "must have 1 to 255 characters"),
        ("merchant_id=m", "merchant_id", "is not a known query parameter"),
    ],
)
def test_an_unknown_filter_or_value_is_refused_and_named(query: str, field: str, reason: str) -> None:
    answer = call("GET", f"{PATH}?{query}")
    assert answer.status == 400
    (error,) = answer.json["errors"]
    assert error["field"] == field
    assert reason in error["reason"]


def test_known_ones_are_accepted() -> None:
    assert filter_of({}) is filter_of({"limit": "1"}) is None
    assert filter_of({"status": "pending"}) == Filter("pending", None)
    assert filter_of({"customer_id": "c", "status": "rejected"}) == Filter("rejected", "c")
    with pytest.raises(InvalidRequest):
        filter_of({"status": "unknown"})
    assert call("GET", f"{PATH}?status=pending&customer_id=c").json["transactions"] == []
