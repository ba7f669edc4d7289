"""How far a worker is, ours or a peer: what its group has committed, and when."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.traffic import CREATED
from infra.native import ports

DEAD_LETTERS = f"{CREATED}.dead_letter"
GROUP = "transactions"
BROKERS = ports.kafka_brokers()
EVERY = 0.05  # seconds between two looks; the worker commits every 0.25 s
SESSION = 8.0  # seconds for which a group keeps the place of one that was killed


class Seen(NamedTuple):
    """The committed records of all partitions at a moment (time.monotonic())."""

    at: float
    records: int


class Group:
    """The offsets of a worker's group on the topic that it reads, over all partitions."""

    def __init__(self, name: str, topic: str, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        self._name, self._topic, self._admin, self._consumer = name, topic, admin, consumer

    async def committed(self) -> int:
        """Records before the committed offsets."""
        offsets = await self._admin.list_consumer_group_offsets(self._name)
        return sum(max(found.offset, 0) for tp, found in offsets.items() if tp.topic == self._topic)

    async def workers(self) -> int:
        """How many have their partitions; 0 while these are given out."""
        state, members = await self._state()
        return members if state == "Stable" else 0

    async def is_left(self) -> bool:
        """Whether nobody is in it: the partitions of one that was killed are held for a while."""
        return (await self._state())[0] in ("Empty", "Dead")

    async def _state(self) -> tuple[str, int]:
        """In Kafka's word, and the number of its members."""
        (answer,) = await self._admin.describe_consumer_groups([self._name])
        ((_, _, state, _, _, members, *_),) = answer.groups
        return state, len(members)

    async def end(self) -> int:
        """Records in the log."""
        return sum((await self.ends(self._topic)).values())

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """Where each partition of a topic ends."""
        (described,) = await self._admin.describe_topics([topic])
        partitions = [TopicPartition(topic, found["partition"]) for found in described["partitions"]]
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(partitions)
        return found

    async def skip(self) -> None:
        """Commit the end of the log: what is there was another group's work. Nobody may be in the group."""
        ends = await self.ends(self._topic)
        member = AIOKafkaConsumer(bootstrap_servers=BROKERS, group_id=self._name, enable_auto_commit=False)
        await member.start()
        try:
            member.assign(list(ends))
            await member.commit(ends)
        finally:
            await member.stop()

    async def until(
        self, records: int, more_than: int = -1, check: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Seen]:
        """Each change of what is committed beyond `more_than`, until it is `records`; `check` may end it by raising."""
        known = more_than
        while known < records:
            check()
            now = await self.committed()
            if now > known:
                known = now
                yield Seen(time.monotonic(), now)
            else:
                await asyncio.sleep(EVERY)


@asynccontextmanager
async def group(name: str = GROUP, topic: str = CREATED) -> AsyncIterator[Group]:
    """Connected, for a while."""
    admin = AIOKafkaAdminClient(bootstrap_servers=BROKERS)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=BROKERS, enable_auto_commit=False, isolation_level="read_committed"
    )
    await admin.start()
    await consumer.start()
    try:
        yield Group(name, topic, admin, consumer)
    finally:
        await consumer.stop()
        await admin.close()
