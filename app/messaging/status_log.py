"""transaction_status as its one writer per partition sees it: claim a partition, then publish to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import TopicPartition

from app.errors import LogUnavailable
from app.messaging.fenced_producer import FencedProducer
from app.messaging.kafka_errors import log_unavailable
from app.messaging.last_stable_offset import LastStableOffset
from app.messaging.producer import Record
from app.settings import Settings


class StatusLog:
    """A fenced producer per claimed partition."""

    def __init__(self, settings: Settings, topic: str):
        self._settings = settings
        self._topic = topic
        self._producers: dict[int, FencedProducer] = {}
        self._stable = LastStableOffset(settings)

    async def claim(self, partition: int) -> None:
        """Become the partition's writer; what the last one had not committed is aborted. LogUnavailable."""
        await self._drop(partition)
        producer = FencedProducer(self._settings, f"{self._topic}-{partition}", self._stable)
        self._producers[partition] = producer
        async with self._within_the_time(partition, "claimed"):
            await producer.claim([TopicPartition(self._topic, partition)])

    def is_claimed(self, partition: int) -> bool:
        """Whether `publish` may be called; not after a failure, nor when the claim is too old to be relied on."""
        producer = self._producers.get(partition)
        return producer is not None and producer.is_fresh

    async def publish(self, partition: int, records: Iterable[Record]) -> list[int]:
        """Write the records (key, value, headers) in order and give their offsets.

        After LogUnavailable the first of them may be in the log: claim the partition again and read it. Likewise when
        Kafka has refused a record: that producer's next one would be out of sequence.
        """
        if not self.is_claimed(partition):
            raise LogUnavailable(f"{self._topic}[{partition}] must be claimed first")
        records = list(records)  # what cannot be encoded fails before the first request
        async with self._within_the_time(partition, "published"):
            return await self._producers[partition].append(TopicPartition(self._topic, partition), records)

    @asynccontextmanager
    async def _within_the_time(self, partition: int, done: str) -> AsyncIterator[None]:
        try:
            with log_unavailable(f"{self._topic}[{partition}] could not be {done}"):
                async with asyncio.timeout(self._settings.status_publish_timeout):
                    yield
        except BaseException:  # also when the partition is taken away meanwhile
            await self._drop(partition)
            raise

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(self._drop(partition) for partition in list(self._producers)))
        await self._stable.close()

    async def _drop(self, partition: int) -> None:
        if producer := self._producers.pop(partition, None):
            await producer.close()
