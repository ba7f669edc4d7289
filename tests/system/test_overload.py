"""Hundreds of clients at once: each is answered, from Redis, and nothing mistakes the load for an outage."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from exercises.faults import PartLog
from infra.native import stack
from reconciliation.readers import PATH, bff_url
from tests.support import http, log

pytestmark = pytest.mark.long

CLIENTS = 800
SECONDS = 15


async def _list_without_pause() -> Counter[tuple[int, str]]:
    answers: Counter[tuple[int, str]] = Counter()
    until = time.monotonic() + SECONDS

    async def client(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < until:
            async with session.get(bff_url() + PATH) as answer:
                answers[answer.status, (await answer.json()).get("source", "none")] += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
    return answers


@pytest.fixture
def _room_for_all() -> Iterator[None]:
    """The limit on connections is another promise (test_hostile.py)."""
    stack.stop("bff")
    stack.start("bff", {"MAX_CONNECTIONS": "1000"})
    yield
    stack.restart("bff")


@pytest.mark.usefixtures("_room_for_all")
def test_800_clients_that_go_on_listing_are_all_answered_from_redis_and_nothing_is_refilled() -> None:
    for _ in range(100):
        http.taken()
    log.wait_until(lambda: http.page()["source"] == "redis", 20, "Redis has all")
    said = PartLog("bff")
    answers = asyncio.run(_list_without_pause())
    print(f"{sum(answers.values())} lists in {SECONDS} s")  # noqa: T201
    assert list(answers) == [(200, "redis")], answers
    assert said.lines("Redis was filled") == []
