"""A POST's record and a Kafka that does not answer: a bounded wait, for a bounded number of records."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import LogUnavailable, NotPublished
from app.messaging.partitioner import partition_of
from app.messaging.producer import EventProducer
from app.messaging.switch import HOLD, LOOK_OFTEN, LOOK_WITHIN_MOST
from app.settings import Settings
from tests.unit import virtual_time


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


def test_a_record_that_waits_for_the_answer_to_others_was_sent_when_its_sender_had_it() -> None:
    """One that was sent long after its id was made may be a repetition, and is looked up by whoever decides it."""
    sent: list[int] = []

    class Timed(Batch):
        def append(self, **what: Any) -> object:
            sent.append(what["timestamp"])
            return super().append(**what)

    async def situation() -> int:
        log, producer = await opened(10)
        producer.create_batch = Timed  # type: ignore[method-assign]
        for _ in range(2):
            with pytest.raises(LogUnavailable):
                await published(log)
        had = int(time.time() * 1000)
        await asyncio.sleep(0.1)
        producer.answer.set()
        await asyncio.sleep(0.01)
        return had

    had = asyncio.run(situation())
    assert len(sent) == 2
    assert sent[1] <= had


def test_before_kafka_has_been_reached_nothing_is_accepted() -> None:
    async def situation() -> None:
        with pytest.raises(NotPublished):
            await published(EventProducer(Settings()))

    asyncio.run(situation())


def test_while_partitions_are_added_a_key_that_moves_waits_and_another_one_does_not() -> None:
    sent: list[int] = []

    class Taking(Silent):
        async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
            sent.append(partition)
            return asyncio.sleep(0)

    async def situation() -> tuple[float, float]:
        log, producer = EventProducer(Settings()), Taking()
        log._producer, known = producer, {*range(4)}
        producer.client.cluster.partitions_for_topic = lambda _: known
        moves, stays = (
            next(str(n) for n in range(100) if (of(n, 4) != of(n, 12)) == is_moved)
            for is_moved in (True, False)
        )
        await log.publish("transaction_created", moves, b"", 2)
        known |= {*range(12)}
        began = time.monotonic()
        await log.publish("transaction_created", stays, b"", 2)
        at_once = time.monotonic() - began
        await log.publish("transaction_created", moves, b"", 2)
        waited = time.monotonic() - began
        assert sent == [of(int(moves), 4), of(int(stays), 12), of(int(moves), 12)]
        log._switches["transaction_created"].saw(24, asyncio.get_running_loop().time())
        again = next(n for n in range(100) if of(n, 12) != of(n, 24))
        with pytest.raises(NotPublished):
            await log.publish("transaction_created", str(again), b"", 0.1)
        return at_once, waited

    def of(number: int, count: int) -> int:
        return partition_of(str(number).encode(), count)

    at_once, waited = asyncio.run(situation())
    assert at_once < HOLD / 2
    assert waited >= HOLD


def test_a_partition_that_was_added_just_now_is_asked_about_before_it_is_written_to() -> None:
    class Late(Silent):
        def __init__(self) -> None:
            super().__init__()
            self.known = {0}
            self.client = SimpleNamespace(
                cluster=SimpleNamespace(partitions_for_topic=lambda _: self.known),
                force_metadata_update=self.update,
            )

        async def update(self) -> None:
            self.known = {0, 1}

        async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> Any:
            assert partition in self.known, "Unrecognized partition"
            return asyncio.sleep(0)

    async def situation() -> None:
        log = EventProducer(Settings())
        log._producer = Late()
        await log.publish_batch("transaction_created", 1, [("key", b"", [])])
        with pytest.raises(LogUnavailable, match="no partition 2, or not yet"):
            await log.publish_batch("transaction_created", 2, [("key", b"", [])])

    asyncio.run(situation())


def test_a_bff_sends_nothing_before_kafka_has_said_how_many_partitions_there_are() -> None:
    """It may start while they are being added. A look that hangs is not waited for: the next asks another broker."""

    async def situation() -> list[str]:
        log, producer = await opened(10)
        producer.answer.set()
        looks = list[float]()
        says: dict[str, Any] = {"counts": None}

        async def partition_counts(_: Any) -> list[int]:
            looks.append(asyncio.get_running_loop().time())
            if says["counts"] is None:
                await asyncio.sleep(60)
            return list(says["counts"])

        log.partition_counts = partition_counts  # type: ignore[assignment]
        producer.client.cluster.partitions_for_topic = lambda _: {*range(4)}
        following = asyncio.create_task(
            log.follow_growth("transaction_created", "transaction_status", "added")
        )
        words = list[str]()

        async def post() -> None:
            try:
                await log.publish("transaction_created", "id", b"value", 2)
                words.append("taken")
            except NotPublished as exc:
                words.append(str(exc))

        await asyncio.sleep(3)
        await post()  # it has just started
        assert len(looks) > 1
        says["counts"] = 4, 12, 1
        await asyncio.sleep(LOOK_WITHIN_MOST + LOOK_OFTEN + 0.1)
        await post()  # they are being added
        says["counts"] = None
        await asyncio.sleep(HOLD + LOOK_OFTEN + 0.1)
        await post()  # and now Kafka cannot be asked
        says["counts"] = 4, 4, 1
        await asyncio.sleep(LOOK_WITHIN_MOST + LOOK_OFTEN + 0.1)
        await post()
        says["counts"] = None
        await asyncio.sleep(60)
        await post()  # none are being added
        following.cancel()
        return words

    unknown = "Kafka has not said how many partitions there are now"
    assert virtual_time.run(situation()) == [unknown, "taken", unknown, "taken", "taken"]


def test_a_stop_does_not_wait_for_a_kafka_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def situation() -> None:
        log, producer = await opened(10)
        with pytest.raises(LogUnavailable):
            await published(log)
        stopped = asyncio.Event()

        async def stop() -> None:
            stopped.set()

        producer.stop = stop  # type: ignore[attr-defined]
        began = asyncio.get_running_loop().time()
        await log.close()
        assert asyncio.get_running_loop().time() - began < 3
        assert stopped.is_set()

    virtual_time.run(situation())
    assert "without Kafka's answer to 1 records" in caplog.text
