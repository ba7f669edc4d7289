"""Listing: GET of the newest 100 while many are stored, from Redis and from Cassandra."""

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from benchmarks import progress, report, stage
from benchmarks.backlog import processed
from benchmarks.result import Figure, Result, Table, percentile
from generator.client import PATH
from infra.native import places

CONCURRENCIES = (1, 8)
WARM_UP = 50
BOUND = 600.0
PAGE = 100
REDIS_BACK = 60.0

METHOD = """\
At least {stored:,} transactions are in the log, and so stored: what is missing is fed and processed first. Then
GET without a limit (the newest 100), {calls} calls, by as many clients as the table says, each asking again when
it has its answer; {warm_up} calls before are not counted. Once from Redis, once from Cassandra: for the latter
Redis is stopped (its port refuses), so Cassandra gives every page. Each answer's `source` and length are checked.
The time runs until the body (about 35 kB) has been read. The clients run in one process beside the bff, on the
same machine.
"""


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    wanted, calls = (20_000, 100) if quick else (100_000, 500)
    stored = await _filled_up_to(wanted)
    print(f"{calls} calls by {CONCURRENCIES} clients, from Redis, then from Cassandra ...", flush=True)
    async with asyncio.timeout(BOUND):
        await _until_source("redis")
        times = await _from("redis", calls)
        with _redis_stopped():
            times |= await _from("cassandra", calls)
        await _until_source("redis")
    return _result(stored, calls, wanted, times)


async def _filled_up_to(wanted: int) -> int:
    """Feed what the log lacks of `wanted` transactions; how many there are then."""
    async with progress.group() as group:
        missing = wanted - await group.end()
    if missing > 0:
        await processed(missing)
    async with progress.group() as group:
        async with asyncio.timeout(BOUND):
            async for _ in group.until(await group.end()):
                pass
        return await group.committed()


@contextmanager
def _redis_stopped() -> Iterator[None]:
    stage.stop("redis")
    try:
        yield
    finally:
        stage.start("redis")


async def _until_source(source: str) -> None:
    """Wait until GET answers from that store."""
    async with asyncio.timeout(REDIS_BACK), aiohttp.ClientSession() as session:
        while json.loads(await _page(session))["source"] != source:  # noqa: ASYNC110  # another process's state
            await asyncio.sleep(0.2)


async def _from(source: str, calls: int) -> dict[tuple[str, int], list[float]]:
    """Seconds of each call, by store and number of clients."""
    found = {}
    for clients in CONCURRENCIES:
        async with aiohttp.ClientSession() as session:
            await _ask(session, WARM_UP, clients, source)
            found[source, clients] = await _ask(session, calls, clients, source)
    return found


async def _ask(session: aiohttp.ClientSession, calls: int, clients: int, source: str) -> list[float]:
    seconds, bodies, left = list[float](), list[bytes](), iter(range(calls))

    async def client() -> None:
        for _ in left:
            began = time.perf_counter()
            body = await _page(session)
            seconds.append(time.perf_counter() - began)
            bodies.append(body)

    await asyncio.gather(*(client() for _ in range(clients)))
    for body in bodies:
        _check(json.loads(body), source)
    return seconds


async def _page(session: aiohttp.ClientSession) -> bytes:
    async with session.get(places.bff_url() + PATH) as response:
        response.raise_for_status()
        return await response.read()


def _check(page: dict[str, object], source: str) -> None:
    entries = page["transactions"]
    if page["source"] != source or not isinstance(entries, list) or len(entries) != PAGE:
        raise SystemExit(
            f"GET answered from {page['source']}, where {source} and {PAGE} entries were expected"
        )


def _result(stored: int, calls: int, wanted: int, times: dict[tuple[str, int], list[float]]) -> Result:
    figures = [Figure("transactions stored", stored, "", at_least=wanted)]
    figures += [
        Figure(f"GET newest 100 from {source}, one client, p50", 1e3 * percentile(times[source, 1], 50), "ms",
               at_most=20, peer="old system: 197 to 250 (10,000 entries, all of them)")
        for source in ("redis", "cassandra")
    ]  # fmt: skip
    rows = [
        [source, str(clients), *(f"{1e3 * percentile(seconds, p):.1f}" for p in (50, 99, 100)),
         f"{clients * len(seconds) / sum(seconds):.0f}"]
        for (source, clients), seconds in times.items()
    ]  # fmt: skip
    header = ["from", "clients", "p50, ms", "p99, ms", "most, ms", "calls a second"]
    return Result(
        "Listing",
        METHOD.format(stored=wanted, calls=calls, warm_up=WARM_UP),
        {"stored at least": wanted, "calls": calls, "clients": list(CONCURRENCIES), "warm-up": WARM_UP},
        figures,
        [Table("GET of the newest 100", header, rows)],
        raw={f"{source}, {clients} clients, s": s for (source, clients), s in times.items()},
    )


if __name__ == "__main__":
    report.command("listing", measure)
