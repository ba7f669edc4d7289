"""GETs by some clients, each call timed and its answer checked."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import aiohttp

from benchmarks import cpu, stage
from generator.client import PATH
from reconciliation import readers
from reconciliation.summary import percentile

CLIENTS = (1, 8)
WARM_UP = 50
#: Lists from Cassandra before the first that count. Measured, CPU milliseconds of a list in its three nodes: 105 of the
#: first 350, 47 after 700, 35 after 1,400; what was written before makes no read faster.
COLD = 1_400
PAGE = 100
REDIS_BACK, IN_A_ROW = 90.0, 5
LEAST = 0.9  # of the calls: a Redis that is slow once is passed over, and Cassandra answers
NEWEST = "newest 100"
BY_ID = "by id"


class Asked(NamedTuple):
    """Some calls of one kind."""

    what: str
    source: str
    clients: int


class Calls(NamedTuple):
    """What calls of one kind took: seconds of each, CPU seconds of all by process."""

    seconds: Sequence[float]
    spent: Mapping[str, float]

    def millis(self, *parts: str) -> float:
        """CPU milliseconds a call of these processes."""
        return 1e3 * sum(self.spent.get(part, 0) for part in parts) / len(self.seconds)


Gets = dict[Asked, Calls]


async def timed(calls: int, ids: Sequence[str]) -> Gets:
    """So many calls of each kind. By id: from Redis the newest of all, from Cassandra `ids`."""
    await _redis_is_back()
    found = await _from("redis", calls, await _newest())
    with redis_stopped():
        found |= await _from("cassandra", calls, ids)
    await _redis_is_back()
    return found


async def warm_up() -> None:
    """Cassandra lists as quickly as it will; it has a page of transactions or more."""
    with redis_stopped():
        async with aiohttp.ClientSession() as session:
            await _ask(session, itertools.repeat("", COLD), max(CLIENTS), "cassandra")


@contextmanager
def redis_stopped() -> Iterator[None]:
    """So that Cassandra gives every answer."""
    stage.stop("redis")
    try:
        yield
    finally:
        stage.start("redis")


async def _redis_is_back() -> None:
    """Wait until many GETs at a time, again and again, are all answered from Redis.

    A connection that the bff has left from before Redis was stopped fails at its first use, and Cassandra answers, or
    is too slow for so many lists at a time: a 503.
    """
    in_a_row = 0
    async with asyncio.timeout(REDIS_BACK), aiohttp.ClientSession() as session:
        while in_a_row < IN_A_ROW:
            from_redis = await asyncio.gather(*(_from_redis(session) for _ in range(2 * max(CLIENTS))))
            in_a_row = in_a_row + 1 if all(from_redis) else 0
            await asyncio.sleep(0.2)


async def _from_redis(session: aiohttp.ClientSession) -> bool:
    async with session.get(readers.bff_url() + PATH) as response:
        return response.ok and bool((await response.json())["source"] == "redis")


async def _newest() -> list[str]:
    async with aiohttp.ClientSession() as session:
        page = json.loads(await _get(session, "?limit=1000"))
    return [one["transaction_id"] for one in page["transactions"]]


async def _from(source: str, calls: int, ids: Sequence[str]) -> Gets:
    found: Gets = {}
    kinds = {NEWEST: [""], BY_ID: [f"/{id_}" for id_ in ids]}
    for clients, (what, paths) in itertools.product(CLIENTS, kinds.items()):
        async with aiohttp.ClientSession() as session:
            turns = itertools.cycle(paths)
            await _ask(session, itertools.islice(turns, WARM_UP), clients, source)
            used = cpu.used()
            seconds = await _ask(session, itertools.islice(turns, calls), clients, source)
            found[Asked(what, source, clients)] = Calls(seconds, cpu.between(used, cpu.used()))
    return found


async def _ask(
    session: aiohttp.ClientSession, paths: Iterator[str], clients: int, source: str
) -> list[float]:
    """Seconds of each call answered from `source`; SystemExit when too many were not, or an answer is wrong."""
    calls = list[tuple[str, float, bytes]]()

    async def client() -> None:
        for path in paths:
            began = time.perf_counter()
            body = await _get(session, path)
            calls.append((path, time.perf_counter() - began, body))

    await asyncio.gather(*(client() for _ in range(clients)))
    seconds = [took for path, took, body in calls if _is_from(source, path, json.loads(body))]
    if len(seconds) < LEAST * len(calls):
        raise SystemExit(f"only {len(seconds)} of {len(calls)} GETs were answered from {source}")
    return seconds


async def _get(session: aiohttp.ClientSession, path: str) -> bytes:
    async with session.get(readers.bff_url() + PATH + path) as response:
        response.raise_for_status()
        return await response.read()


def _is_from(source: str, path: str, answer: dict[str, Any]) -> bool:
    """Of one by id it is not told."""
    if path:
        right = answer["transaction_id"] == path[1:] and answer["status"] in ("accepted", "rejected")
    else:
        right = len(answer["transactions"]) == PAGE
    if not right:
        raise SystemExit(f"GET {path} was answered with {answer}"[:300])
    return bool(path) or bool(answer["source"] == source)


def row(asked: Asked, calls: Calls) -> list[str]:
    """For a table: what, from where, by how many, p50 and p99 and the most in ms, calls a second, CPU in ms."""
    seconds = calls.seconds
    times = [f"{1e3 * percentile(seconds, percent):.1f}" for percent in (50, 99, 100)]
    return [
        asked.what,
        asked.source,
        str(asked.clients),
        *times,
        f"{asked.clients * len(seconds) / sum(seconds):.0f}",
        f"{calls.millis('bff'):.1f}",
        f"{calls.millis(*cpu.CASSANDRA):.1f}",
    ]


HEADER = (
    "GET",
    "from",
    "clients",
    "p50, ms",
    "p99, ms",
    "most, ms",
    "calls a second",
    "CPU, ms each: bff",
    "Cassandra",
)
