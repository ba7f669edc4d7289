"""How far the transactions worker is: what its group has committed, and when."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.traffic import CREATED

GROUP = "transactions"
EVERY = 0.05  # seconds between two looks; the worker commits every 0.25 s


class Seen(NamedTuple):
    """The committed records of all partitions at a moment (time.monotonic())."""

    at: float
    records: int


class Group:
    """The offsets of the worker's group on transaction_created, over all partitions."""

    def __init__(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._admin, self._consumer = admin, consumer

    async def committed(self) -> int:
        """Records before the committed offsets."""
        offsets = await self._admin.list_consumer_group_offsets(GROUP)
        return sum(max(found.offset, 0) for tp, found in offsets.items() if tp.topic == CREATED)

    async def is_assigned(self) -> bool:
        """Whether the worker has its partitions."""
        (answer,) = await self._admin.describe_consumer_groups([GROUP])
        return any(state == "Stable" for _, _, state, *_ in answer.groups)

    async def end(self) -> int:
        """Records in the log."""
        (topic,) = await self._admin.describe_topics([CREATED])
        partitions = [TopicPartition(CREATED, found["partition"]) for found in topic["partitions"]]
        return sum((await self._consumer.end_offsets(partitions)).values())

    async def until(self, records: int, more_than: int = -1) -> AsyncIterator[Seen]:
        """Each change of what is committed beyond `more_than`, until it is `records`."""
        known = more_than
        while known < records:
            now = await self.committed()
            if now > known:
                known = now
                yield Seen(time.monotonic(), now)
            else:
                await asyncio.sleep(EVERY)


@asynccontextmanager
async def group() -> AsyncIterator[Group]:
    """Connected, for a while."""
    brokers = os.environ.get("KAFKA_BROKERS", "127.0.0.1:9092")
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=brokers, enable_auto_commit=False, isolation_level="read_committed"
    )
    await admin.start()
    await consumer.start()
    try:
        yield Group(admin, consumer)
    finally:
        await consumer.stop()
        await admin.close()
