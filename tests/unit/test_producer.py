"""A POST's record and a Kafka that does not answer: a bounded wait, for a bounded number of records."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import LogUnavailable, NotPublished
from app.messaging.producer import EventProducer
from app.settings import Settings


class Batch:
    """Counts its records."""

    def __init__(self) -> None:
        self.records = 0

    def append(self, **_: Any) -> object:
        self.records += 1
        return object()

    def close(self) -> None:
        pass


class Silent:
    """A producer that holds every record until Kafka answers."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.held = 0
        self.client = SimpleNamespace(cluster=SimpleNamespace(partitions_for_topic=lambda _: {0}))

    def create_batch(self) -> Batch:
        return Batch()

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
        self.held += batch.records
        return self.answer.wait()


async def opened(most: int) -> tuple[EventProducer, Silent]:
    log, producer = EventProducer(Settings(max_in_flight_posts=most)), Silent()
    log._producer = producer
    return log, producer


async def published(log: EventProducer) -> None:
    await log.publish("transaction_created", "id", b"value", 0.01)


def test_the_outcome_is_not_known_after_the_wait_and_the_wait_is_bounded() -> None:
    async def situation() -> None:
        log, _ = await opened(10)
        began = time.monotonic()
        with pytest.raises(LogUnavailable) as said:
            await published(log)
        assert not isinstance(said.value, NotPublished)
        assert time.monotonic() - began < 1

    asyncio.run(situation())


def test_what_waits_is_bounded_also_after_its_caller_is_gone_and_is_freed_by_kafkas_answer() -> None:
    async def situation() -> None:
        log, producer = await opened(3)
        for _ in range(3):
            with pytest.raises(LogUnavailable):
                await published(log)
        for _ in range(5):
            with pytest.raises(NotPublished, match="3 records wait"):
                await published(log)
        assert producer.held == 1  # the others wait for its answer
        producer.answer.set()
        await asyncio.sleep(0.01)
        assert producer.held == 3
        await published(log)
        assert producer.held == 4

    asyncio.run(situation())


def test_before_kafka_has_been_reached_nothing_is_accepted() -> None:
    async def situation() -> None:
        with pytest.raises(NotPublished):
            await published(EventProducer(Settings()))

    asyncio.run(situation())
