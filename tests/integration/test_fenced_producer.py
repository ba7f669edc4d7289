"""A partition of the status topic has one writer: on a real broker, the last one to claim it."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.protocol.transaction import InitProducerIdRequest

from app.errors import LogUnavailable
from app.messaging.producer import Record
from app.messaging.status_log import StatusLog
from app.messaging.tail_reader import TailReader
from app.settings import Settings
from infra.native import ports, stack
from tests.integration.samples import read_back

Situation = Callable[[StatusLog, StatusLog], Awaitable[None]]


#: Kafka's last one; a claim at it gets a new producer id.
LAST_EPOCH = 32_766
#: The markers that end transactions are smaller than this, and a broker that cannot write them waits for ever.
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
        async with AsyncExitStack() as ends:
            writers = [StatusLog(Settings(), topic) for _ in range(2)]
            for status_log in writers:
                ends.push_async_callback(status_log.close)
            await situation(*writers)
        return await values(topic)

    return asyncio.run(run())


async def values(topic: str) -> list[bytes]:
    return [record.value for record in await read_back(TailReader(Settings()), topic, 0)]


def test_a_fenced_worker_cannot_publish(topic: str) -> None:
    async def situation(sleeper: StatusLog, other: StatusLog) -> None:
        await sleeper.claim(0)
        await sleeper.publish(0, [("a", b"first", [])])
        await other.claim(0)
        with pytest.raises(LogUnavailable, match="ProducerFenced"):
            await sleeper.publish(0, [("b", b"the sleeper's", [])])  # before the other has published anything
        await other.publish(0, [("b", b"the other's", [])])
        with pytest.raises(LogUnavailable, match="must be claimed first"):
            await sleeper.publish(0, [("b", b"the sleeper's", [])])

    assert published(topic, situation) == [b"first", b"the other's"]


def test_a_fenced_worker_cannot_publish_after_a_crash_of_the_broker_either(topic: str) -> None:
    async def situation(sleeper: StatusLog, other: StatusLog) -> None:
        await sleeper.claim(0)
        await sleeper.publish(0, [("a", b"first", [])])
        await other.claim(0)
        restart(stack.kill)
        with pytest.raises(LogUnavailable, match="ProducerFenced"):
            await sleeper.publish(0, [("b", b"the sleeper's", [])])
        await other.publish(0, [("b", b"the other's", [])])

    assert published(topic, situation) == [b"first", b"the other's"]


@pytest.mark.long
def test_a_fenced_worker_cannot_publish_once_the_epochs_have_run_out_either(topic: str) -> None:
    """The next claim has another producer id then, so that its epoch alone refuses nothing."""

    async def situation(sleeper: StatusLog, other: StatusLog) -> None:
        await use_up_epochs(f"{topic}-0")
        await sleeper.claim(0)
        await sleeper.publish(0, [("a", b"first", [])])
        await other.claim(0)
        assert identity(other)[0] != identity(sleeper)[0]
        with pytest.raises(LogUnavailable, match="could not be published"):
            await sleeper.publish(0, [("b", b"the sleeper's", [])])
        await other.publish(0, [("b", b"the other's", [])])

    assert published(topic, situation) == [b"first", b"the other's"]


def identity(status_log: StatusLog) -> tuple[int, int]:
    """Kafka's producer id and epoch."""
    manager = status_log._producers[0]._producer._txn_manager
    return manager.producer_id, manager.producer_epoch


async def use_up_epochs(transactional_id: str) -> None:
    """So that one claim more is the last one under this producer id."""
    producer = AIOKafkaProducer(bootstrap_servers=ports.kafka_brokers(), transactional_id=transactional_id)
    await producer.start()
    try:
        node = await producer._sender._find_coordinator(CoordinationType.TRANSACTION, transactional_id)
        again = InitProducerIdRequest(transactional_id=transactional_id, transaction_timeout_ms=10_000)
        epoch = 0
        while epoch < LAST_EPOCH - 1:
            epoch = (
                await producer.client.send(node, again, group=ConnectionGroup.COORDINATION)
            ).producer_epoch
    finally:
        await producer.stop()


def restart(end: Callable[[str], object]) -> None:
    end("kafka")
    stack.start("kafka")


def test_what_was_half_published_when_the_partition_was_claimed_is_undone(topic: str) -> None:
    """As workers of the last release publish, and those whose epochs are about to run out."""

    async def situation(sleeper: StatusLog, other: StatusLog) -> None:
        await sleeper.claim(0)
        producer = sleeper._producers[0]._producer
        await producer.begin_transaction()
        await producer.send_and_wait(topic, b"half", partition=0)
        await other.claim(0)
        await other.publish(0, [("b", b"the other's", [])])

    assert published(topic, situation) == [b"the other's"]


@pytest.mark.long
def test_of_a_publish_that_is_cut_in_the_middle_a_beginning_is_there_to_go_on_from(topic: str) -> None:
    """It is several requests when it is large; the broker dies after the second."""
    records: list[Record] = [("k", b"%03d" % number + b"x" * 100_000, []) for number in range(30)]
    wanted = [value for _, value, _ in records]

    async def situation(status_log: StatusLog, other: StatusLog) -> None:
        await status_log.claim(0)
        producer = status_log._producers[0]._producer
        send_batch, sent = producer.send_batch, itertools.count(1)

        async def send_two(*args: Any, **options: Any) -> Any:
            answer = await send_batch(*args, **options)
            if next(sent) == 2:
                await answer
                stack.kill("kafka")
            return answer

        producer.send_batch = send_two
        with pytest.raises(LogUnavailable):
            await status_log.publish(0, records)
        stack.start("kafka")
        await again(lambda: other.claim(0))
        there = await values(topic)
        assert 0 < len(there) < len(records)
        assert there == wanted[: len(there)]
        await other.publish(0, records[len(there) :])

    assert published(topic, situation) == wanted


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
    async def situation(status_log: StatusLog, _unused: StatusLog) -> None:
        reader = AIOKafkaConsumer(bootstrap_servers=ports.kafka_brokers(), isolation_level="read_committed")
        await reader.start()
        try:
            await status_log.claim(0)
            tp = TopicPartition(topic, 0)
            for number in range(30):
                await status_log.publish(0, [("a", b"published", [])])
                # behind the aborted record of the claim and its marker
                assert (await reader.end_offsets([tp]))[tp] == number + 3
        finally:
            await reader.stop()

    assert published(topic, situation) == [b"published"] * 30


@pytest.mark.long
def test_twenty_failures_leave_no_task_and_no_connection_behind(topic: str) -> None:
    def open_ones() -> tuple[int, int]:
        return len(asyncio.all_tasks()), len(psutil.Process().net_connections())

    async def run() -> None:
        status_log = StatusLog(Settings(status_publish_timeout=0.2), topic)
        await again(lambda: status_log.claim(0))
        await status_log.publish(0, [("a", b"published", [])])
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


def test_what_is_published_behind_anothers_open_transaction_is_not_missed_by_the_next_owner(
    topic: str,
) -> None:
    async def run() -> list[bytes]:
        other = AIOKafkaProducer(bootstrap_servers=ports.kafka_brokers(), transactional_id=f"{topic}-command")
        status_log = StatusLog(Settings(), topic)
        async with AsyncExitStack() as ends:
            ends.push_async_callback(other.stop)
            ends.push_async_callback(status_log.close)
            await status_log.claim(0)
            await other.start()
            await other.begin_transaction()
            await other.send_and_wait(topic, b"not yet", partition=0)
            await status_log.publish(0, [("a", b"published", [])])
            reading = asyncio.create_task(values(topic))
            await asyncio.wait([reading], timeout=2)
            assert not reading.done()  # it waits for what it cannot read yet
            await other.abort_transaction()
            return await reading

    assert asyncio.run(run()) == [b"published"]


def test_a_partition_with_anothers_open_transaction_is_claimed_when_that_has_ended(topic: str) -> None:
    async def run() -> list[bytes]:
        other = AIOKafkaProducer(bootstrap_servers=ports.kafka_brokers(), transactional_id=f"{topic}-command")
        status_log = StatusLog(Settings(status_publish_timeout=1), topic)
        async with AsyncExitStack() as ends:
            ends.push_async_callback(other.stop)
            ends.push_async_callback(status_log.close)
            await other.start()
            await other.begin_transaction()
            await other.send_and_wait(topic, b"not yet", partition=0)
            with pytest.raises(LogUnavailable, match="could not be claimed"):
                await status_log.claim(0)
            await other.abort_transaction()
            await again(lambda: status_log.claim(0))
            await status_log.publish(0, [("a", b"published", [])])
        return await values(topic)

    assert asyncio.run(run()) == [b"published"]
