"""How far a partition can be read at read_committed: its last stable offset (LSO).

Kafka acknowledges a commit before its marker is in the partition. A broker killed in between may lose the marker when
it restarts (seen with Kafka 4.4: it writes markers before it knows who leads the partition, and skips it). What was
committed then stays open, and the next abort of the same producer undoes it.
"""

from __future__ import annotations

import asyncio

from aiokafka import TopicPartition

from app import connections
from app.messaging.log_consumer import LogConsumer
from app.retry import pauses
from app.settings import Settings

#: Seconds between two looks, first and at most; the marker follows its commit within milliseconds.
LOOK_EVERY = 0.004, 0.1


class LastStableOffset:
    """A consumer of no group that asks where what is committed ends; opened by the first question."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._consumer: LogConsumer | None = None
        self._opening = asyncio.Lock()

    async def wait_for(self, topic: str, partition: int, offset: int) -> None:
        """Return once all before `offset` is readable as committed, or has been aborted; KafkaError. No time-out."""
        consumer, tp, waits = await self._opened(), TopicPartition(topic, partition), pauses(*LOOK_EVERY)
        await consumer.know(topic)
        for pause in waits:
            if (await consumer.end_offsets([tp]))[tp] >= offset:
                return
            await asyncio.sleep(pause)

    async def _opened(self) -> LogConsumer:
        async with self._opening:
            if self._consumer is None:
                consumer = LogConsumer(
                    **connections.kafka(self._settings),
                    enable_auto_commit=False,
                    isolation_level="read_committed",
                )
                try:
                    await consumer.start()
                except BaseException:
                    await consumer.stop()
                    raise
                self._consumer = consumer
            return self._consumer

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()
