"""Paging by cursor: without gaps or repeats, newest first, whichever store the pages come from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.native import stack
from tests.support import feed, http, log, traffic

FEWEST_RECENT = 1000  # the smallest RECENT_TRANSACTIONS that the bff accepts
MINE = 350


def pages_down_to(oldest: str, limit: int) -> tuple[list[str], list[str]]:
    """The ids page by page until the oldest of ours has come, and the store that each page came from."""
    ids: list[str] = []
    sources: list[str] = []
    cursor = None
    while oldest not in ids:
        page = http.page(limit, cursor)
        assert len(page["transactions"]) <= limit
        ids += [entry["transaction_id"] for entry in page["transactions"]]
        sources.append(page["source"])
        cursor = page["next_cursor"]
        assert cursor or oldest in ids, f"the pages ended before {oldest}"
    return ids, sources


def accepted_down_to(oldest: str) -> list[str]:
    """The ids of the accepted ones, page by page, until those older than the oldest of ours come."""
    ids: list[str] = []
    cursor = None
    while not ids or min(ids) > oldest:
        page = http.page(70, cursor, "accepted")
        assert {entry["status"] for entry in page["transactions"]} <= {"accepted"}
        ids += [entry["transaction_id"] for entry in page["transactions"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    return [id_ for id_ in ids if id_ >= oldest]


def accepted(ids: list[str], oldest: str) -> list[str]:
    """Those of them down to the oldest that are accepted, each asked for by its id."""
    return [id_ for id_ in ids if id_ >= oldest and http.final(id_)["status"] == "accepted"]


def whole(ids: list[str], mine: list[str]) -> None:
    """All of ours are in the list once, newest first, and nothing else twice either."""
    assert len(ids) == len(set(ids))
    assert [id_ for id_ in ids if id_ in set(mine)] == sorted(mine, reverse=True)
    assert ids == sorted(ids, reverse=True)


@pytest.fixture(scope="module")
def mine() -> list[str]:
    ids = traffic.posted(MINE)
    for id_ in ids:
        http.final(id_)
    log.wait_until(lambda: log.lag("transactions") == 0, 20, "all of them stored")
    return ids


def test_pages_from_redis_all_and_filtered(mine: list[str]) -> None:
    ids, sources = pages_down_to(min(mine), 50)
    whole(ids, mine)
    assert set(sources) == {"redis"}
    assert accepted_down_to(min(mine)) == accepted(ids, min(mine))


def test_pages_from_cassandra_are_the_same_all_and_filtered(mine: list[str]) -> None:
    from_redis, _ = pages_down_to(min(mine), 70)
    stack.kill("redis")
    try:
        ids, sources = pages_down_to(min(mine), 70)
        from_cassandra = accepted_down_to(min(mine))
    finally:
        stack.start("redis")
    whole(ids, mine)
    assert from_cassandra == accepted(ids, min(mine))
    assert set(sources) == {"cassandra"}
    assert ids == from_redis


@pytest.fixture
def small_redis() -> Iterator[None]:
    """A bff that keeps few transactions in Redis."""
    stack.stop("bff")
    stack.start("bff", {"RECENT_TRANSACTIONS": str(FEWEST_RECENT)})
    yield
    stack.restart("bff")


def test_pages_across_the_border_of_redis_and_cassandra(small_redis: None) -> None:
    ids = [*feed.Feed().send(FEWEST_RECENT + MINE)]
    log.wait_until(lambda: log.lag("transactions") == 0, 60, "all of them decided")
    log.wait_until(lambda: log.lag("bff", log.STATUS) == 0, 60, "the bff has read all of them")
    found, sources = pages_down_to(min(ids), 100)
    whole(found, ids)
    assert sources[0] == "redis"
    assert sources[-1] == "cassandra"
    assert sources == sorted(sources, reverse=True)  # one border
