"""A partition of the status topic has one writer: on a real broker, the last one to take it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.errors import LogUnavailable
from app.messaging.status_log import StatusLog
from app.messaging.tail_reader import TailReader
from app.settings import Settings
from infra.native import ports, stack
from tests.integration.samples import read_back

Situation = Callable[[StatusLog, StatusLog], Awaitable[None]]


#: The marks that end transactions are smaller than this, and a broker that cannot write them waits for ever.
FEW_BYTES = {"max.message.bytes": "100"}


def with_admin(do: Callable[[Any], Awaitable[Any]]) -> None:
    async def run() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers())
        await admin.start()
        try:
            await do(admin)
        finally:
            await admin.close()

    asyncio.run(run())


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> Iterator[str]:
    """One of one partition; with the parameter as its settings."""
    name, settings = f"test_{uuid.uuid4().hex[:8]}", getattr(request, "param", {})
    with_admin(lambda admin: admin.create_topics([NewTopic(name, 1, 1, topic_configs=settings)]))
    yield name
    with_admin(lambda admin: admin.delete_topics([name]))


def published(topic: str, situation: Situation) -> list[bytes]:
    """What readers find after it; the two writers are two workers."""

    async def run() -> list[bytes]:
        settings = Settings()
        async with AsyncExitStack() as ends:
            writers = [StatusLog(settings, topic) for _ in range(2)]
            for status_log in writers:
                ends.push_async_callback(status_log.close)
            await situation(*writers)
        found: list[bytes] = []
        deadline = time.monotonic() + 10
        # A commit is visible a moment after its acknowledgement.
        while b"the other's" not in found and time.monotonic() < deadline:
            found = [record.value for record in await read_back(TailReader(settings), topic, 0)]
        return found

    return asyncio.run(run())


def test_a_fenced_worker_cannot_publish(topic: str) -> None:
    async def situation(sleeper: StatusLog, other: StatusLog) -> None:
        await sleeper.claim(0)
        await sleeper.publish(0, [("a", b"first", [])])
        await other.claim(0)
        await other.publish(0, [("b", b"the other's", [])])
        with pytest.raises(LogUnavailable):
            await sleeper.publish(0, [("b", b"the sleeper's", [])])

    assert published(topic, situation) == [b"first", b"the other's"]


def test_what_was_half_published_when_the_partition_was_claimed_is_undone(topic: str) -> None:
    async def situation(sleeper: StatusLog, other: StatusLog) -> None:
        await sleeper.claim(0)
        producer = sleeper._producers[0]._producer
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"half", partition=0)
        await other.claim(0)
        await other.publish(0, [("b", b"the other's", [])])

    assert published(topic, situation) == [b"the other's"]


@pytest.mark.parametrize("topic", [FEW_BYTES], indirect=True)
def test_after_a_record_that_kafka_refuses_the_partition_is_taken_again(topic: str) -> None:
    """The same producer would be out of order for good."""

    async def situation(status_log: StatusLog, _unused: StatusLog) -> None:
        await status_log.claim(0)
        await status_log.publish(0, [("a", b"first", [])])
        for _ in range(2):
            with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
                await status_log.publish(0, [("b", b"large" * 100, [])])
            with pytest.raises(LogUnavailable, match="must be claimed first"):
                await status_log.publish(0, [("b", b"small", [])])
            await status_log.claim(0)
        await status_log.publish(0, [("b", b"the other's", [])])

    assert published(topic, situation) == [b"first", b"the other's"]


def test_what_is_published_can_be_read_at_once(topic: str) -> None:
    """Kafka answers a commit before it marks it; a broker killed in between may forget the mark."""

    async def situation(status_log: StatusLog, _unused: StatusLog) -> None:
        reader = AIOKafkaConsumer(bootstrap_servers=ports.kafka_brokers(), isolation_level="read_committed")
        await reader.start()
        try:
            await status_log.claim(0)
            tp = TopicPartition(topic, 0)
            for number in range(30):
                await status_log.publish(0, [("a", b"told", [])])
                # each is a record and its mark
                assert (await reader.end_offsets([tp]))[tp] == 2 * number + 2
            await status_log.publish(0, [("b", b"the other's", [])])
        finally:
            await reader.stop()

    assert published(topic, situation)[-1] == b"the other's"


def test_twenty_failures_leave_no_task_and_no_connection_behind(topic: str) -> None:
    def open_ones() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(psutil.Process().net_connections())

    async def run() -> None:
        status_log = StatusLog(Settings(status_publish_timeout=0.2), topic)
        await again(lambda: status_log.claim(0))
        await status_log.publish(0, [("a", b"told", [])])
        before = open_ones()
        for _ in range(10):
            stack.pause("kafka")
            try:
                with pytest.raises(LogUnavailable):
                    await status_log.publish(0, [("a", b"not answered", [])])
                with pytest.raises(LogUnavailable):
                    await status_log.claim(0)
            finally:
                stack.resume("kafka")
            await again(lambda: status_log.claim(0))
        await asyncio.sleep(0.5)
        after = open_ones()
        await status_log.close()
        assert after[0] <= before[0] + 1
        assert after[1] <= before[1] + 1

    asyncio.run(run())


async def again(call: Callable[[], Awaitable[None]]) -> None:
    for _ in range(50):
        try:
            return await call()
        except LogUnavailable:
            await asyncio.sleep(0.1)
    raise AssertionError("Kafka did not come back")


def test_what_was_published_behind_anothers_open_transaction_is_waited_for_not_missed(topic: str) -> None:
    async def run() -> list[bytes]:
        settings = Settings()
        other = AIOKafkaProducer(bootstrap_servers=ports.kafka_brokers(), transactional_id=f"{topic}-command")
        status_log = StatusLog(settings, topic)
        async with AsyncExitStack() as ends:
            ends.push_async_callback(other.stop)
            ends.push_async_callback(status_log.close)
            await other.start()
            await other.begin_transaction()
            await other.send_and_wait(topic, b"not yet", partition=0)
            await status_log.claim(0)
            publishing = asyncio.create_task(status_log.publish(0, [("a", b"told", [])]))
            reading = asyncio.create_task(read_back(TailReader(settings), topic, 0))
            await asyncio.wait([publishing, reading], timeout=2)
            assert not publishing.done()  # nobody could read it
            await other.abort_transaction()
            await publishing
            return [record.value for record in await reading]

    assert asyncio.run(run()) == [b"told"]
