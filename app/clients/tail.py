"""Out of the log: a partition read backward from its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from app.clients.fetching import Fetching
from app.errors import LogUnavailable
from app.settings import Settings

log = logging.getLogger(__name__)

FIRST_STEP = 500
#: Seconds without a record; a long way back may take longer.
TIMEOUT = 30.0
MOST_AT_ONCE = 10_000

FarEnough = Callable[[Sequence[ConsumerRecord]], Awaitable[bool]]


class TailReader:
    """Reads with a consumer of no group that lives as long as one look: looks are rare, one an assignment."""

    def __init__(self, settings: Settings):
        self._settings = settings

    async def read_back(self, topic: str, partition: int, far_enough: FarEnough) -> list[ConsumerRecord]:
        """The partition's newest records, oldest first, going back until `far_enough(them)` or the beginning."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_brokers,
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        try:
            async with asyncio.timeout(TIMEOUT) as patience:
                await consumer.start()
                tp = TopicPartition(topic, partition)
                end = (await written_ends(self._settings, [tp]))[tp]
                return await _read_back(consumer, tp, end, far_enough, patience)
        except (KafkaError, OSError, TimeoutError) as exc:
            raise LogUnavailable(f"the end of {topic}[{partition}] could not be read: {exc!r}") from exc
        finally:
            await consumer.stop()


async def written_ends(settings: Settings, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Where the partitions end, what is not committed yet included.

    A reader of what is committed is told where the oldest open transaction begins. Behind that one others may be
    committed already; to read up to here is to wait until it has ended (Kafka sees to that) and to see them all.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_brokers, enable_auto_commit=False)
    try:
        await consumer.start()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
    finally:
        await consumer.stop()


async def _read_back(
    consumer: AIOKafkaConsumer,
    tp: TopicPartition,
    start: int,
    far_enough: FarEnough,
    patience: asyncio.Timeout,
) -> list[ConsumerRecord]:
    consumer.assign([tp])
    beginning = (await consumer.beginning_offsets([tp]))[tp]
    records: list[ConsumerRecord] = []
    fetching, step = Fetching(consumer), FIRST_STEP
    while start > beginning:
        end, start, step = start, max(beginning, start - step), step * 4
        records = await _read(consumer, fetching, tp, start, end, patience) + records
        if await far_enough(records):
            break
    return records


async def _read(
    consumer: AIOKafkaConsumer,
    fetching: Fetching,
    tp: TopicPartition,
    start: int,
    end: int,
    patience: asyncio.Timeout,
) -> list[ConsumerRecord]:
    consumer.seek(tp, start)
    records: list[ConsumerRecord] = []
    # The position, not the last record's offset: the log may hold markers that are no records.
    while await consumer.position(tp) < end:
        fetched, unreadable = await fetching.records([tp], 0.5, MOST_AT_ONCE)
        records += [record for record in fetched.get(tp, []) if record.offset < end]
        for where in unreadable.values():
            # To wait for it would stop whoever asks, and the records in it are lost to every reader alike.
            log.error(
                "%s[%d]@%d cannot be read and is left out: %s",
                tp.topic, tp.partition, where.offset, where.reason,
            )  # fmt: skip
            await fetching.leave_out(tp, where)
        if fetched:
            patience.reschedule(asyncio.get_running_loop().time() + TIMEOUT)
    return records
