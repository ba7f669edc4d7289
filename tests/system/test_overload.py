"""Hundreds of clients at once: each is answered, from Redis, and no part takes the crowd for an outage."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import aiohttp

from infra.native.places import PATH, bff_url
from tests.support import http

CLIENTS = 600
SECONDS = 10


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


def test_hundreds_of_clients_that_list_are_all_answered_from_redis() -> None:
    for _ in range(100):
        http.taken()
    answers = asyncio.run(_list_without_pause())
    assert list(answers) == [(200, "redis")], answers
    assert http.page()["source"] == "redis"
