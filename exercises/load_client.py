"""Clients of the system while it is broken: they POST and GET, and each second a line says what they saw."""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType

import aiohttp

from exercises.consumer_lag import ConsumerLag
from exercises.recorded_calls import LISTED, Get, RecordedCalls, get_of
from generator.client import PATH, Answer, open_session, send
from generator.traffic import Transaction, transaction
from reconciliation.readers import bff_url
from reconciliation.summary import percentile

BETWEEN_GETS = 0.1

Say = Callable[[str], None]


class LoadClient(RecordedCalls):
    """POSTs at a rate, whatever the answers are, and GETs one after another, from `with` to the end of it."""

    def __init__(self, say: Say, rate: float, group: str = "transactions") -> None:
        super().__init__()
        self.lags: list[tuple[float, int | None]] = []
        self.began = time.monotonic()
        self._say = say
        self.rate = rate
        self._backlog = ConsumerLag(group)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        for chatty in ("aiokafka", "cassandra", "generator"):  # what fails is on the screen already
            logging.getLogger(chatty).setLevel(logging.CRITICAL)

    def __enter__(self) -> LoadClient:
        self.began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join(15)

    async def _run(self) -> None:
        sending = asyncio.create_task(
            send(
                self._bodies(),
                self.answers.append,
                url=bff_url(),
                rate=self.rate,
                concurrency=512,
                timeout=10,
                back_off=False,
            )
        )
        others = [asyncio.create_task(job()) for job in (self._read, self._measure_lag, self._report)]
        await sending
        await asyncio.sleep(1 - (time.monotonic() - self.began) % 1 + 0.05)  # the last second's line
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._backlog.close()

    def _bodies(self) -> Iterator[Transaction]:
        rng = random.Random(time.monotonic_ns())
        while not self._enough.is_set():
            yield transaction(rng)

    async def _read(self) -> None:
        async with open_session(concurrency=1, timeout=40) as session:
            while True:
                self.gets.append(get := await _get(session))
                await asyncio.sleep(max(0.0, BETWEEN_GETS - get.took))

    async def _measure_lag(self) -> None:
        while True:
            self.lags.append((time.monotonic(), await self._backlog.size()))
            await asyncio.sleep(0.5)

    async def _report(self) -> None:
        second = 0
        while True:
            second += 1
            await asyncio.sleep(self.began + second - time.monotonic())
            now = time.monotonic()
            posts = [a for a in self.answers[-5_000:] if now - 1 <= a.answered]
            gets = [g for g in self.gets[-50:] if now - 1 <= g.answered]
            self._say(line(second, posts, gets, self.lags[-1][1] if self.lags else None))


async def _get(session: aiohttp.ClientSession) -> Get:
    sent = time.monotonic()
    try:
        async with session.get(bff_url() + PATH, params={"limit": str(LISTED)}) as response:
            return get_of(sent, response.status, await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Get(sent, time.monotonic(), 0)


def line(second: int, posts: Sequence[Answer], gets: Sequence[Get], lag: int | None) -> str:
    """What one second was like for a client."""
    read = Counter(f"from {get.source}" if get.status == 200 else _word(get.status) for get in gets)
    return (
        f"{second:4d} s  POST {answered(posts):<22}{_p99([a.answered - a.sent for a in posts])}"
        f"   GET {_counts(read):<33}{_p99([g.took for g in gets])}   lag {'?' if lag is None else lag}"
    )


def answered(posts: Sequence[Answer]) -> str:
    """How many POSTs were answered what: `43 taken, 13 x 503`."""
    return _counts(Counter(_word(answer.status) for answer in posts))


def _word(status: int) -> str:
    return {0: "refused", 201: "taken"}.get(status, f"x {status}")


def _counts(words: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.most_common()) or "no answer"


def _p99(seconds: Sequence[float]) -> str:
    return f"p99 {percentile(seconds, 99) * 1000:5.0f} ms" if seconds else " " * 12
