"""The read model in a real Redis, in a separate database."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import pytest
from redis import Redis

from app.errors import StoreUnavailable
from app.models.status import TransactionStatus, sort_key
from app.settings import Settings
from app.stores.recent_transactions import (
    BeingRefilled,
    Entry,
    Reach,
    RecentTransactions,
    entry_of,
    pending_entry,
)
from tests.integration.samples import status, transaction_of
from tests.support.feed import new_id

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0").rsplit("/", 1)[0] + "/15"
KEEP = 1000


@pytest.fixture(autouse=True)
def _empty() -> Iterable[None]:
    with Redis.from_url(URL) as redis:
        redis.flushdb()
        yield
        redis.flushdb()


def with_recent(
    do: Callable[[RecentTransactions], Awaitable[Any]], timeout: float = 5, keep: int = KEEP
) -> Any:
    async def run() -> Any:
        recent = RecentTransactions(Settings(redis_url=URL, recent_transactions=keep, redis_timeout=timeout))
        await recent.open()
        try:
            return await do(recent)
        finally:
            await recent.close()

    return asyncio.run(run())


def kept(entries: list[Entry]) -> list[dict[str, Any]]:
    """What the newest page shows after these, remembered one after another."""

    async def do(recent: RecentTransactions) -> Any:
        for entry in entries:
            await recent.remember([entry])
        return await recent.newest(KEEP, None)

    return [json.loads(text) for text in with_recent(do).entries]


def revision(id_: str, number: int, verdict: Any = "accepted") -> TransactionStatus:
    return status(id_, revision=number, status=verdict)


def test_the_higher_revision_wins_in_any_order() -> None:
    id_ = new_id()
    older, newer = entry_of(revision(id_, 2)), entry_of(revision(id_, 10, "rejected"))
    for order in ([older, newer], [newer, older]):
        assert [entry["status"] for entry in kept(order)] == ["rejected"]


def test_of_the_same_revision_the_first_stays() -> None:
    id_ = new_id()
    said, again = entry_of(revision(id_, 1)), entry_of(revision(id_, 1, "rejected"))
    assert [entry["status"] for entry in kept([said, again])] == ["accepted"]


def test_a_refill_writes_one_of_the_same_revision_again_and_none_of_a_higher_one() -> None:
    """What a bff of an earlier release wrote lacks fields."""
    id_ = new_id()

    async def do(recent: RecentTransactions) -> Any:
        await recent.remember([entry_of(revision(id_, 2))])
        key, _, text = entry_of(revision(id_, 2))
        with Redis.from_url(URL) as redis:
            redis.hset("transactions:entries", key, text.replace(',"reasons":[]', ""))
        before = await recent.has_lacking()
        await recent.remember([entry_of(revision(id_, 1, "rejected"))], again=True)
        still = await recent.has_lacking()
        await recent.remember([entry_of(revision(id_, 2))], again=True)
        return before, still, await recent.has_lacking(), json.loads(await recent.find(key) or "")

    before, still, after, found = with_recent(do)
    assert (before, still, after) == (True, True, False)
    assert (found["status"], found["reasons"]) == ("accepted", [])


def test_a_late_pending_never_covers_a_verdict() -> None:
    verdict = revision(new_id(), 1, "rejected")
    pending = pending_entry(transaction_of(verdict))
    assert [entry["status"] for entry in kept([entry_of(verdict), pending])] == ["rejected"]
    assert [entry["status"] for entry in kept([pending, entry_of(verdict)])] == ["rejected"]


def test_the_bound_keeps_the_newest_and_says_that_older_ones_exist() -> None:
    ids = sorted(new_id(at=1_600_000_000 + number) for number in range(KEEP + 200))

    async def do(recent: RecentTransactions) -> Any:
        await recent.remember([entry_of(revision(id_, 1)) for id_ in ids[:KEEP]])
        assert not (await recent.newest(1, None)).trimmed
        await recent.remember([entry_of(revision(id_, 1)) for id_ in ids[KEEP:]])
        return await recent.newest(KEEP + 200, None), await recent.find(sort_key(ids[0], 0))

    page, trimmed_away = with_recent(do)
    assert [json.loads(text)["transaction_id"] for text in page.entries] == ids[: -KEEP - 1 : -1]
    assert page.trimmed
    assert trimmed_away is None
    with Redis.from_url(URL) as redis:  # both structures were trimmed
        assert redis.zcard("transactions:order") == redis.hlen("transactions:entries") == KEEP


def test_an_older_one_than_the_bound_does_not_push_a_newer_one_out() -> None:
    ids = sorted(new_id(at=1_600_000_000 + number) for number in range(KEEP + 1))

    async def do(recent: RecentTransactions) -> Any:
        await recent.remember([entry_of(revision(id_, 1)) for id_ in ids[1:]])
        await recent.remember([entry_of(revision(ids[0], 1))])
        return await recent.newest(KEEP, None)

    page = with_recent(do)
    assert json.loads(page.entries[-1])["transaction_id"] == ids[1]
    assert page.trimmed


def fill_with(ids: list[str], keep: int) -> None:
    """Fill Redis with exactly these and mark the list as complete."""

    async def fill(recent: RecentTransactions) -> None:
        filling = await recent.begin_filling()
        await recent.remember([entry_of(revision(id_, 1)) for id_ in ids])
        await recent.mark_complete(filling, floor=None)

    with_recent(fill, keep=keep)


def test_a_lower_bound_leaves_the_newest_complete() -> None:
    ids = sorted(new_id(at=1_600_000_000 + number) for number in range(KEEP + 201))

    async def add(recent: RecentTransactions) -> Any:
        await recent.remember([entry_of(revision(ids[-1], 1))])
        return await recent.newest(KEEP, None), await recent.is_complete()

    fill_with(ids[:-1], KEEP + 1000)
    page, complete = with_recent(add)
    assert [json.loads(text)["transaction_id"] for text in page.entries] == ids[: -KEEP - 1 : -1]
    assert page.complete
    assert page.trimmed
    assert complete


def test_after_a_lower_bound_a_revision_of_an_older_one_leaves_no_gap() -> None:
    """The limit is the old one again, so that there is room; what lies between is only in Cassandra."""
    ids = sorted(new_id(at=1_600_000_000 + number) for number in range(KEEP + 200))

    async def revise_the_oldest(recent: RecentTransactions) -> Any:
        await recent.remember([entry_of(revision(ids[0], 2)), entry_of(revision(ids[-1], 1))])
        return await recent.newest(2 * KEEP, None)

    fill_with(ids[:-1], KEEP)
    page = with_recent(revise_the_oldest, keep=2 * KEEP)
    assert [json.loads(text)["transaction_id"] for text in page.entries] == ids[: -KEEP - 2 : -1]
    assert page.complete
    assert page.trimmed


def test_the_sign_of_completeness_goes_with_the_data() -> None:
    async def do(recent: RecentTransactions) -> Any:
        before = await recent.is_complete()
        await recent.mark_complete(await recent.begin_filling(), floor="0000000001:")
        marked = await recent.newest(1, None)
        with Redis.from_url(URL) as redis:
            redis.flushdb()  # as a Redis that comes back empty
        return before, (marked.complete, marked.trimmed), await recent.is_complete()

    assert with_recent(do) == (False, (True, True), False)


def test_what_is_older_than_the_floor_goes_when_the_sign_is_set() -> None:
    """An old one may be there, re-assessed meanwhile: what lies between is in Cassandra only."""
    ids = sorted(new_id(at=1_600_000_000 + 60 * number) for number in range(5))

    async def do(recent: RecentTransactions) -> Any:
        filling = await recent.begin_filling()
        await recent.remember([entry_of(status(id_)) for id_ in ids])
        await recent.mark_complete(filling, floor=sort_key(ids[2], 0))
        return await recent.newest(10, None), await recent.reach(2), await recent.find(sort_key(ids[1], 0))

    page, reach, older = with_recent(do)
    assert [json.loads(text)["transaction_id"] for text in page.entries] == ids[:1:-1]
    assert (page.complete, page.trimmed) == (True, True)
    assert reach == Reach([sort_key(id_, 0) for id_ in ids[2:4]], complete=True, trimmed=True)
    assert older is None


def test_no_sign_for_a_refill_that_has_lost_its_data() -> None:
    async def do(recent: RecentTransactions) -> Any:
        filling = await recent.begin_filling()
        with Redis.from_url(URL) as redis:
            redis.flushdb()
        await recent.mark_complete(filling, floor="0000000001:")
        return await recent.newest(1, None)

    page = with_recent(do)
    assert (page.complete, page.trimmed) == (False, False)


def test_of_several_bffs_one_fills_redis_at_a_time_and_one_that_dies_holds_the_others_up_for_seconds_only() -> (
    None
):
    async def do(recent: RecentTransactions) -> None:
        other = RecentTransactions(Settings(redis_url=URL))
        await other.open()
        first = await recent.begin_filling()
        with pytest.raises(BeingRefilled) as refused:
            await other.begin_filling()
        assert refused.value.filling == first
        again = await recent.begin_filling()  # its own it may begin anew
        with Redis.from_url(URL) as redis:
            redis.pexpire("transactions:filling", 50)
            await recent.go_on_filling(first)  # not the one under way
            assert redis.pttl("transactions:filling") <= 50
            await recent.go_on_filling(again)
            assert redis.pttl("transactions:filling") > 1000
            await recent.mark_complete(again, floor=None)
            assert await other.was_filled_by(again)
            assert not await other.was_filled_by(first)
            await recent.begin_filling()
            redis.pexpire("transactions:filling", 1)  # it has died
            await asyncio.sleep(0.01)
        theirs = await other.begin_filling()
        with pytest.raises(BeingRefilled):
            await recent.begin_filling()
        await other.mark_complete(theirs, floor=None)
        await other.close()

    with_recent(do)


def test_a_page_that_was_emptied_while_it_was_read_is_not_complete() -> None:
    async def do(recent: RecentTransactions) -> Any:
        await recent.remember([entry_of(status(id_)) for id_ in ids])
        await recent.mark_complete(await recent.begin_filling(), floor=None)
        before = await recent.newest(10, None)
        with Redis.from_url(URL) as redis:
            redis.hdel("transactions:entries", sort_key(ids[0], 0))
        return before, await recent.newest(10, None)

    ids = [new_id() for _ in range(3)]
    before, after = with_recent(do)
    assert (len(before.entries), before.complete) == (3, True)
    assert (len(after.entries), after.complete) == (2, False)


def test_pages_join_without_gap_or_repeat() -> None:
    ids = sorted((new_id(at=1_600_000_000 + number // 7) for number in range(95)), reverse=True)

    async def do(recent: RecentTransactions) -> list[str]:
        await recent.remember([entry_of(revision(id_, 1)) for id_ in ids])
        found: list[str] = []
        key = None
        while True:
            page = await recent.newest(10, key)
            found += page.entries
            if (key := page.last_key) is None:
                return found

    assert [json.loads(text)["transaction_id"] for text in with_recent(do)] == ids


def test_twelve_hundred_lists_at_once_all_come_from_redis() -> None:
    async def do(recent: RecentTransactions) -> list[Any]:
        await recent.remember([entry_of(revision(new_id(), 1)) for _ in range(100)])
        lists = (recent.newest(100, None) for _ in range(1200))
        return [len(page.entries) for page in await asyncio.gather(*lists)]

    assert with_recent(do, timeout=2.0) == [100] * 1200


def whole_after(break_it: Callable[[Redis], Any]) -> list[Any]:
    """For a marked Redis with ten entries: is a page complete before, after, and after a check and a refill."""
    entries = [entry_of(status(new_id())) for _ in range(10)]

    async def do(recent: RecentTransactions) -> list[Any]:
        await recent.remember(entries)
        await recent.mark_complete(await recent.begin_filling(), floor=None)
        found = [(await recent.newest(100, None)).complete]
        with Redis.from_url(URL, decode_responses=True) as redis:
            break_it(redis)
        found += [(await recent.newest(100, None)).complete, await recent.is_complete()]
        await recent.remember(entries)
        await recent.mark_complete(await recent.begin_filling(), floor=None)
        page = await recent.newest(100, None)
        return [*found, page.complete, len(page.entries), await recent.is_complete()]

    return list(with_recent(do))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda redis: redis.delete("transactions:order"),
        lambda redis: redis.delete("transactions:entries"),
        lambda redis: redis.delete("transactions:order", "transactions:entries"),
        lambda redis: redis.hdel("transactions:entries", redis.hkeys("transactions:entries")[3]),
        lambda redis: redis.zpopmin("transactions:order", 4),
        lambda redis: redis.flushdb(),
    ],
    ids=["the order", "the entries", "both", "an entry", "some of the order", "all"],
)
def test_what_was_evicted_or_deleted_is_noticed_and_can_be_filled_again(
    break_it: Callable[[Redis], Any],
) -> None:
    assert whole_after(break_it) == [True, False, False, True, 10, True]


def test_a_redis_that_takes_no_writes_is_not_complete() -> None:
    """As a replica after a failover that the clients have not noticed."""

    async def do(recent: RecentTransactions) -> None:
        await recent.mark_complete(await recent.begin_filling(), floor=None)
        assert await recent.is_complete()
        with Redis.from_url(URL) as redis:
            redis.replicaof("127.0.0.1", "1")
            try:
                with pytest.raises(StoreUnavailable, match=r"(?i)read.?only"):
                    await recent.is_complete()
            finally:
                redis.replicaof("NO", "ONE")

    with_recent(do)
