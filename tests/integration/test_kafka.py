"""The log on a real broker, in topics of its own."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, cast

import faust
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic, RecordsToDelete
from aiokafka.structs import BrokerMetadata

from app.errors import LogUnavailable, Poison
from app.messaging import rebootstrap, topics
from app.messaging.consumer import BatchConsumerThread, BatchTransport
from app.messaging.producer import EventProducer
from app.messaging.tail_reader import STEP_MOST, Back, TailReader
from app.messaging.topics import WrongTopic
from app.settings import Settings
from tests.integration.samples import read_back

Do = Callable[[AIOKafkaAdminClient], Awaitable[Any]]


def with_admin(do: Do) -> Any:
    async def run() -> Any:
        brokers = os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092")
        admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
        await admin.start()
        try:
            return await do(admin)
        finally:
            await admin.close()

    return asyncio.run(run())


def make(name: str, config: dict[str, str] | None = None, partitions: int = 4) -> None:
    new = NewTopic(name, partitions, 1, topic_configs=config or {})
    with_admin(lambda admin: admin.create_topics([new]))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str, str]]:
    """Three topics of the app's kinds, under names of their own."""
    mark = uuid.uuid4().hex[:8]
    made = (f"test_{mark}", f"test_{mark}_status", f"test_{mark}_letters")
    for constant, name in zip(("CREATED", "STATUS", "DEAD_LETTER"), made, strict=True):
        monkeypatch.setattr(topics, constant, name)
    monkeypatch.setattr(topics, "ALL", made)
    yield made
    with_admin(lambda admin: admin.delete_topics(list(made)))


def ensure() -> None:
    async def do(admin: AIOKafkaAdminClient) -> None:
        for _ in range(20):  # as at a start: a topic made just now may not be listed yet
            try:
                return await topics.ensure(admin, Settings())
            except LogUnavailable:
                await asyncio.sleep(0.1)
        raise AssertionError("the topics are not listed")

    with_admin(do)


def test_topics_are_created_once_with_four_partitions(names: tuple[str, str, str]) -> None:
    ensure()
    ensure()

    async def counts(admin: AIOKafkaAdminClient) -> list[int]:
        return [len(await topics.partitions(admin, name)) for name in names]

    assert with_admin(counts) == [4, 4, 4]


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"retention.ms": "1000"}, "retention.ms=1000"),
        ({"retention.bytes": "1000000"}, "retention.bytes=1000000"),
        ({"cleanup.policy": "compact"}, "cleanup.policy=compact"),
    ],
)
def test_a_topic_that_would_delete_records_is_refused_by_name(
    names: tuple[str, str, str], config: dict[str, str], named: str
) -> None:
    make(names[1], config)
    with pytest.raises(WrongTopic, match=f"topic {names[1]} has {named}"):
        ensure()


def test_topics_of_unequal_partitions_are_refused(names: tuple[str, str, str]) -> None:
    make(names[1], partitions=3)
    with pytest.raises(WrongTopic, match=r"4 partitions, .* only 3: .*add the missing ones"):
        ensure()


@pytest.mark.long
def test_a_partition_added_to_a_live_topic_is_written_to_within_ten_seconds(
    names: tuple[str, str, str],
) -> None:
    ensure()
    created, status, _ = names

    async def run() -> list[int]:
        log, consumer = (
            EventProducer(Settings()),
            AIOKafkaConsumer(bootstrap_servers=Settings().kafka_brokers),
        )
        await log.open()
        await consumer.start()
        try:
            await log.publish(created, "key", b"", 5)
            await asyncio.to_thread(
                with_admin, lambda admin: admin.create_partitions({created: NewPartitions(5)})
            )
            added, deadline = TopicPartition(created, 4), time.monotonic() + 10
            while not (await consumer.end_offsets([added]))[added]:
                assert time.monotonic() < deadline
                for number in range(40):
                    await log.publish(created, f"key {number}", b"", 5)
            return await log.partition_counts([created, status, "no such topic"])
        finally:
            await consumer.stop()
            await log.close()

    assert asyncio.run(run()) == [5, 4, 0]


def after_publishing(topic: str, count: int, read: Callable[[TailReader], Awaitable[Any]]) -> Any:
    """What `read` returns for the topic once its partition 1 has `count` records."""

    async def run() -> Any:
        log, tail = EventProducer(Settings()), TailReader(Settings())
        await log.open()
        try:
            records = (
                (f"key {n}", str(n).encode() * 300, [("number", str(n).encode())]) for n in range(count)
            )
            await log.publish_batch(topic, 1, records)
            return await read(tail)
        finally:
            await log.close()

    return asyncio.run(run())


def numbers(records: Sequence[Any]) -> list[int]:
    return [int(dict(record.headers)["number"]) for record in records]


@pytest.mark.parametrize("deleted", [0, 4])
def test_what_a_rebalance_dropped_before_the_first_commit_is_fetched_again(
    names: tuple[str, str, str], deleted: int
) -> None:
    """It would not be decided, and the first commit of what came later would be behind it."""
    ensure()
    partition = TopicPartition(names[0], 1)

    async def fetched_twice(_: TailReader) -> list[list[int]]:
        reader = AIOKafkaConsumer(
            bootstrap_servers=Settings().kafka_brokers,
            group_id=names[0],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        await reader.start()
        try:
            reader.assign([partition])
            first = await reader.getmany(timeout_ms=10_000)
            await thread_of(reader).seek_to_committed()
            again = await reader.getmany(timeout_ms=10_000)
        finally:
            await reader.stop()
        return [[record.offset for record in found[partition]] for found in (first, again)]

    async def delete(admin: AIOKafkaAdminClient) -> None:
        if deleted:
            await admin.delete_records({partition: RecordsToDelete(before_offset=deleted)})

    after_publishing(names[0], 10, lambda _: asyncio.sleep(0))
    with_admin(delete)
    assert after_publishing(names[0], 0, fetched_twice) == [list(range(deleted, 10))] * 2


def thread_of(reader: AIOKafkaConsumer) -> BatchConsumerThread:
    """Faust's thread for a consumer, without a thread."""
    app = faust.App("consumer-test", broker="kafka://127.0.0.1:1", store="memory://", autodiscover=False)
    consumer: Any = BatchTransport(app.conf.broker_consumer, app).create_consumer(
        callback=_nobody, on_partitions_revoked=_nobody, on_partitions_assigned=_nobody
    )
    thread: Any = consumer._thread
    thread._consumer = reader
    thread.call_thread = lambda call: call()
    return cast(BatchConsumerThread, thread)


async def _nobody(_: Any) -> None:
    """No message comes here."""


def test_a_batch_is_published_in_order_and_whole(names: tuple[str, str, str]) -> None:
    ensure()  # 3,000 records of a KB and more: several batches of the producer
    found = after_publishing(names[0], 3000, lambda tail: read_back(tail, names[0], 1))
    assert numbers(found) == list(range(3000))
    assert [record.offset for record in found] == list(range(3000))
    assert found[7].key == b"key 7"


def test_the_tail_is_read_back_only_as_far_as_needed(names: tuple[str, str, str]) -> None:
    ensure()

    def far_enough(records: Sequence[Any]) -> bool:
        return any(record.offset < 4000 for record in records)

    found = after_publishing(names[0], 6000, lambda tail: read_back(tail, names[0], 1, far_enough))
    assert numbers(found) == list(range(found[0].offset, 6000))
    assert 0 < found[0].offset < 4000


def test_a_step_back_is_never_more_than_fits_in_memory(names: tuple[str, str, str]) -> None:
    ensure()
    steps: list[int] = []

    async def back(tail: TailReader) -> tuple[Back, Back]:
        async def take(records: Sequence[Any]) -> bool:
            steps.append(len(records))
            return False

        whole = await tail.read_back(names[0], 1, take)
        return whole, await tail.read_back(names[0], 1, take, since=23_000)

    whole, since = after_publishing(names[0], 25_000, back)
    assert steps == [500, 2000, 8000, STEP_MOST, 4500, 500, 1500]
    assert (whole, since) == (Back(0, 25_000, whole=True), Back(23_000, 25_000, whole=False))


def test_records_at_given_offsets_are_read_and_missing_ones_left_out(
    names: tuple[str, str, str],
) -> None:
    ensure()
    wanted = [2, 3, 1500, 2999, 3000, 70_000]
    found = after_publishing(names[0], 3000, lambda tail: tail.at(names[0], 1, wanted))
    assert {offset: numbers([record]) for offset, record in found.items()} == {
        2: [2],
        3: [3],
        1500: [1500],
        2999: [2999],
    }


def test_what_an_open_transaction_hides_is_not_taken_for_the_end(names: tuple[str, str, str]) -> None:
    """Only for a while: then it is refused, or there is a record, or the end of the partition."""
    ensure()

    async def looks(tail: TailReader) -> None:
        assert (await tail.first_from(names[0], 1, 1)).offset == 1  # type: ignore[union-attr]
        assert await tail.first_from(names[0], 1, 3) is None
        other = AIOKafkaProducer(bootstrap_servers=Settings().kafka_brokers, transactional_id=names[0])
        await other.start()
        try:
            await other.begin_transaction()
            await other.send_and_wait(names[0], b"hidden", partition=1)
            with pytest.raises(LogUnavailable, match="cannot be read yet"):
                await tail.first_from(names[0], 1, 3)
            await other.abort_transaction()
        finally:
            await other.stop()
        for _ in range(50):  # the mark is written a moment later
            try:
                assert await tail.first_from(names[0], 1, 3) is None
            except LogUnavailable:
                await asyncio.sleep(0.1)
            else:
                return
        raise AssertionError("it is still hidden")

    after_publishing(names[0], 3, looks)


def test_the_tail_of_an_empty_partition_is_nothing(names: tuple[str, str, str]) -> None:
    ensure()
    assert after_publishing(names[0], 5, lambda tail: read_back(tail, names[0], 0)) == []


def test_the_tails_of_all_partitions_are_read_quickly(names: tuple[str, str, str]) -> None:
    ensure()

    async def all_of_them(tail: TailReader) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in (0, 1, 2, 3) * 2:
            await read_back(tail, names[0], number)
        return loop.time() - began

    assert after_publishing(names[0], 5, all_of_them) < 2  # 8 looks; a worker that starts waits for 4


def test_after_a_record_that_kafka_refuses_the_next_ones_are_accepted(names: tuple[str, str, str]) -> None:
    make(names[0], {"max.message.bytes": "500"}, partitions=1)

    async def taken(log: EventProducer) -> None:
        for _ in range(20):  # the producer is replaced in the background
            try:
                return await log.publish(names[0], "key", b"small", 5)
            except LogUnavailable:
                await asyncio.sleep(0.1)
        raise AssertionError("nothing is taken any more")

    async def run() -> None:
        log = EventProducer(Settings())
        await log.open()
        try:
            await log.publish(names[0], "key", b"small", 5)
            with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
                await log.publish(names[0], "key", b"large" * 200, 5)
            await taken(log)
            with pytest.raises(Poison):
                await log.publish_batch(names[0], 0, [("key", b"large" * 200, [])])
            await taken(log)
        finally:
            await log.close()

    asyncio.run(run())


def test_a_client_whose_brokers_have_all_died_asks_those_that_it_was_given_at_the_start() -> None:
    """While brokers are restarted an answer may name one alone, and that one be the next to go."""
    rebootstrap.install()

    async def do(admin: AIOKafkaAdminClient) -> set[int]:
        client = admin._client
        client.cluster._brokers = {9: BrokerMetadata(9, "127.0.0.1", 1, None)}  # nobody listens there
        await client.force_metadata_update()
        return {broker.port for broker in client.cluster.brokers()}

    assert with_admin(do) != {1}
