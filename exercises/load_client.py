"""Clients of the system while it is broken: they POST and GET, and each second a line says what they saw."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from exercises.calls import LISTED, Get, RecordedCalls, get_of, line
from generator.client import PATH, Answer, open_session, send
from generator.traffic import Transaction, transactions
from infra.native import ports
from reconciliation.readers import bff_url

BETWEEN_GETS, BETWEEN_LOOKS = 0.1, 0.5
TOPIC, GROUP = "transaction_created", "transactions"
LAG_WITHIN = 0.8  # seconds for Kafka to say how far the worker is
AT_A_TIME = 16
AS_FAST_AS_ANSWERED = 1e6  # per second: `AT_A_TIME` is the limit

Say = Callable[[str], None]


class LoadClient(RecordedCalls):
    """POSTs at a rate, whatever the answers are; GETs one after another; and the worker's lag."""

    def __init__(self, say: Say, rate: float, bodies: Iterable[Transaction] | None = None) -> None:
        super().__init__()
        self._bodies = transactions() if bodies is None else bodies
        self.lags: list[tuple[float, int | None]] = []
        self.began = time.monotonic()
        self.rate = rate
        self._say = say

    @contextmanager
    def at_work(self) -> Iterator[LoadClient]:
        """From `with` to the end of it."""
        for chatty in ("aiokafka", "cassandra", "generator"):  # what fails is on the screen already
            logging.getLogger(chatty).setLevel(logging.CRITICAL)
        self.began = time.monotonic()
        with in_background(self._run):
            yield self

    async def _run(self, enough: threading.Event) -> None:
        posting = asyncio.create_task(post_until(enough, self.rate, self.answers.append, self._bodies))
        jobs = (self._read(), measure_lag(self.lags), self._report())
        others = [asyncio.create_task(job) for job in jobs]
        await posting
        await asyncio.sleep(1 - (time.monotonic() - self.began) % 1 + 0.05)  # the last second's line
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _read(self) -> None:
        async with open_session(concurrency=1, timeout=40) as session:
            while True:
                self.gets.append(get := await _get(session))
                await asyncio.sleep(max(0.0, BETWEEN_GETS - get.took))

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
            body = (await response.read()).decode(errors="replace")
            return get_of(sent, response.status, body)
    except (aiohttp.ClientError, OSError, TimeoutError):
        return Get(sent, time.monotonic(), 0)


async def measure_lag(lags: list[tuple[float, int | None]]) -> None:
    """Twice per second: how many records the worker has not finished; None while Kafka does not answer."""
    while True:
        brokers = ports.kafka_brokers()
        consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False)
        admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
        try:
            async with asyncio.timeout(LAG_WITHIN):
                await consumer.start()
                await admin.start()
            while True:
                async with asyncio.timeout(LAG_WITHIN):
                    lags.append((time.monotonic(), await _lag(consumer, admin)))
                await asyncio.sleep(BETWEEN_LOOKS)
        except (KafkaError, OSError, TimeoutError, ValueError):
            lags.append((time.monotonic(), None))
        finally:  # reconnect after each failure
            for end in (consumer.stop, admin.close):
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    await asyncio.wait_for(end(), LAG_WITHIN)
        await asyncio.sleep(BETWEEN_LOOKS)


async def _lag(consumer: Any, admin: Any) -> int:
    (topic,) = await admin.describe_topics([TOPIC])
    partitions = [TopicPartition(TOPIC, found["partition"]) for found in topic["partitions"]]
    # In this order: what is finished between the two calls must not make the lag negative.
    done = await admin.list_consumer_group_offsets(GROUP)
    ends = await consumer.end_offsets(partitions)
    return sum(end - max(0, done[tp].offset if tp in done else 0) for tp, end in ends.items())


async def post_until(
    enough: threading.Event,
    rate: float,
    on_answer: Callable[[Answer], None],
    bodies: Iterable[Transaction] | None = None,
) -> None:
    """These, or the contract's traffic without end, at a rate, whatever the answers are."""
    some = takewhile(lambda _: not enough.is_set(), transactions() if bodies is None else bodies)
    await send(some, on_answer, url=bff_url(), rate=rate, concurrency=512, timeout=10, back_off=False)


async def post_each(
    url: str, bodies: Iterable[Transaction], rate: float = AS_FAST_AS_ANSWERED
) -> RecordedCalls:
    """POST these transactions, at a rate or as fast as they are answered; at most `AT_A_TIME` in flight."""
    calls = RecordedCalls()
    await send(
        bodies, calls.answers.append, url=url, rate=rate, concurrency=AT_A_TIME, timeout=10, back_off=False
    )
    return calls


def for_seconds(seconds: float) -> Iterator[Transaction]:
    """New transactions for as long."""
    ends = time.monotonic() + seconds
    return takewhile(lambda _: time.monotonic() < ends, transactions())


@contextmanager
def in_background(work: Callable[[threading.Event], Coroutine[Any, Any, None]]) -> Iterator[None]:
    """Run `work` in a thread and event loop of its own; at the end of `with` its event is set, and it may finish."""
    enough = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(work(enough)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        enough.set()
        thread.join(15)
