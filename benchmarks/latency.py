"""Latency alone: one transaction at a time, from POST to its final status in GET."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from benchmarks import report
from benchmarks.result import Figure, Result, percentile
from generator.client import PATH
from generator.traffic import Transaction, transactions
from infra.native import places

PAUSE = 0.002  # seconds between two GETs
WARM_UP = 30
BOUND = 300.0
PATIENCE = 10.0
SEED = 5

METHOD = """\
One transaction at a time, on an otherwise idle stack: POST, then GET by its id again and again, {pause:.0f} ms
between an answer and the next call, until the status is `accepted` or `rejected`. The time runs from the moment
before the POST is sent to the moment after the GET that shows the final status has been read, so it is late by
half a poll on average; what a poll takes and how many were made is given. The polls are answered by the same bff
that reads the statuses, as a client's would be. {warm_up} transactions before are not counted.
"""


@dataclass
class Times:
    """Seconds, a list entry a transaction (or a GET)."""

    final: list[float] = field(default_factory=list)
    post: list[float] = field(default_factory=list)
    get: list[float] = field(default_factory=list)


async def measure(quick: bool) -> Result:
    """The whole benchmark, on a stack that is up."""
    count = 50 if quick else 200
    print(f"{count} transactions, one at a time ...", flush=True)
    async with asyncio.timeout(BOUND), aiohttp.ClientSession() as session:
        await _through(session, list(transactions(WARM_UP, SEED)))
        times = await _through(session, list(transactions(count, SEED + 1)))
    figures = [
        Figure("POST to final status, p50", 1e3 * percentile(times.final, 50), "ms", at_most=30,
               peer="old system: 181 to 210"),
        Figure("POST to final status, p99", 1e3 * percentile(times.final, 99), "ms"),
        Figure("POST to its 201, p50", 1e3 * percentile(times.post, 50), "ms"),
        Figure("one GET by id, p50", 1e3 * percentile(times.get, 50), "ms"),
        Figure("GETs a transaction", len(times.get) / count, ""),
    ]  # fmt: skip
    return Result(
        "Latency alone",
        METHOD.format(pause=1e3 * PAUSE, warm_up=WARM_UP),
        {"transactions": count, "pause between polls, s": PAUSE, "warm-up": WARM_UP},
        figures,
        raw={"seconds to final": [round(seconds, 5) for seconds in times.final]},
    )


async def _through(session: aiohttp.ClientSession, bodies: Sequence[Transaction]) -> Times:
    times = Times()
    for body in bodies:
        began = time.perf_counter()
        async with session.post(places.bff_url() + PATH, json=body) as response:
            response.raise_for_status()
            id_ = (await response.json())["transaction_id"]
        times.post.append(time.perf_counter() - began)
        await _until_final(session, id_, times)
        times.final.append(time.perf_counter() - began)
    return times


async def _until_final(session: aiohttp.ClientSession, id_: str, times: Times) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            asked = time.perf_counter()
            status = await places.status_of(session, id_)
            times.get.append(time.perf_counter() - asked)
            if status in ("accepted", "rejected"):
                return
            await asyncio.sleep(PAUSE)


if __name__ == "__main__":
    report.command("latency", measure)
