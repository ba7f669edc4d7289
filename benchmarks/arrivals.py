"""How transactions arrive: one at a time, as many as the stack sustains, or at a constant rate."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.finality import ASKERS, Published, Seen, Watch, nobody, watching
from benchmarks.lean_http import Client, client
from generator.client import PATH
from generator.traffic import transactions
from reconciliation import readers

CONNECTIONS = 64
WINDOW = 2_000  # transactions that may be between POST and final while the capacity is measured
EACH = 40  # of them one in so many is followed
FOLLOWED = 25.0  # a second, at a constant rate
EVERY = 0.01  # seconds between two GETs: at a third of it the watching took a core of two
ALONE_EVERY = 0.002
PATIENCE = 30.0  # seconds for the last ones to become final


@dataclass(slots=True)
class Arrived:
    """Of one run: seconds of each POST from due to its 201, what GET showed, and what was not as it should be."""

    posts: list[float] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    refused: int = 0
    never_final: int = 0
    lasted: float = 0.0


def bodies(seed: int) -> Iterator[bytes]:
    """Bodies of POSTs, without end; made beforehand and used again, so that they cost the run nothing."""
    made = [json.dumps(body).encode() for body in transactions(1_000, seed)]
    while True:
        yield from made


async def alone(count: int, seed: int) -> Arrived:
    """Each POSTed when the one before is final."""
    run, body = Arrived(), bodies(seed)
    async with client(readers.bff_url(), 1) as calls, watching(calls, ALONE_EVERY) as watch:
        for _ in range(count):
            await _post(calls, next(body), time.perf_counter(), run, watch)
            run.never_final += await watch.all_final(PATIENCE)
        run.seen = watch.seen
    return run


async def capacity(warm: float, seconds: float, seed: int) -> float:
    """Transactions a second that go all the way while WINDOW of them may be on it: POSTs slow down to what follows."""
    run, body, numbers = Arrived(), bodies(seed), iter(range(10**9))
    turn, room = asyncio.Lock(), asyncio.Semaphore(WINDOW // EACH)
    began = time.perf_counter()
    counted = 0

    async def poster() -> None:
        nonlocal counted
        while (due := time.perf_counter()) < began + warm + seconds:
            async with turn:
                is_followed = next(numbers) % EACH == 0
                if is_followed:
                    await room.acquire()
            await _post(calls, next(body), due, run, watch if is_followed else None, room.release)
            counted += began + warm <= time.perf_counter() < began + warm + seconds

    async with _clients() as (calls, watch):
        await asyncio.gather(*(poster() for _ in range(CONNECTIONS)))
        left = await watch.all_final(PATIENCE)
    if run.refused or left:
        raise SystemExit(f"at capacity {run.refused} POSTs were refused, {left} never became final")
    return counted / seconds


async def constant(rate: float, seconds: float, seed: int) -> Arrived:
    """`rate` a second whatever the answers are; the time of each begins when it was due, so waiting counts."""
    run, body, posts = Arrived(), bodies(seed), list[asyncio.Task[None]]()
    each = max(1, round(rate / FOLLOWED))
    async with _clients() as (calls, watch):
        began = time.perf_counter()
        for number in range(round(rate * seconds)):
            due = began + number / rate
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            posts.append(
                asyncio.create_task(_post(calls, next(body), due, run, None if number % each else watch))
            )
        await asyncio.gather(*posts)  # one that failed is told, whenever that was
        run.lasted = time.perf_counter() - began
        run.never_final = await watch.all_final(PATIENCE)
        run.seen = watch.seen
    return run


@asynccontextmanager
async def _clients() -> AsyncIterator[tuple[Client, Watch]]:
    """Who POSTs, and who watches over a connection of its own."""
    url = readers.bff_url()
    async with client(url, CONNECTIONS) as calls, client(url, ASKERS) as asks, watching(asks, EVERY) as watch:
        yield calls, watch


async def _post(
    calls: Client, body: bytes, due: float, run: Arrived, watch: Watch | None, published: Published = nobody
) -> None:
    answer = await calls.post(PATH, body)
    if answer.status != 201:
        run.refused += 1
        return
    run.posts.append(time.perf_counter() - due)
    if watch is not None:
        watch.follow(json.loads(answer.body)["transaction_id"], due, published)
