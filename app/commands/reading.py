"""A topic read from its beginning, or from a time, to where it ends now."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app import topics
from app.clients.tail import written_ends
from app.errors import Poison
from app.settings import Settings


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaAdminClient]]:
    """A consumer of no group, reading what is committed, and an admin client; closed at the end."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_brokers, enable_auto_commit=False, isolation_level="read_committed"
    )
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers)
    try:
        await consumer.start()
        await admin.start()
        yield consumer, admin
    finally:
        await admin.close()
        await consumer.stop()


class BeginningGone(Poison):
    """What is to be read from its beginning has been deleted in part; no retry helps."""


class Reader:
    """A consumer of no group; `total` is how many offsets there are to read."""

    def __init__(self, settings: Settings, topic: str):
        self._settings, self._topic = settings, topic
        # What is not committed is waited for: behind it others may have committed what must not be missed.
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_brokers,
            enable_auto_commit=False,
            isolation_level="read_committed",
        )
        self._ends: dict[TopicPartition, int] = {}
        self.total = 0

    async def __aenter__(self) -> Reader:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def seek(self, since: float | None = None) -> None:
        """To the beginning, or to what is younger than `since` seconds; fixes the present end."""
        partitions = await self._partitions()
        self._consumer.assign(partitions)
        self._ends = await written_ends(self._settings, partitions)
        starts = await (self._beginnings(partitions) if since is None else self._after(partitions, since))
        for tp in partitions:
            self._consumer.seek(tp, starts[tp])
        self.total = sum(max(0, end - starts[tp]) for tp, end in self._ends.items())

    async def chunks(self, most: int) -> AsyncIterator[list[Any]]:
        """The records, at most so many at a time, each partition's in order."""
        while left := [tp for tp, end in self._ends.items() if await self._consumer.position(tp) < end]:
            fetched = await self._consumer.getmany(*left, timeout_ms=500, max_records=most)
            records = [r for tp, found in fetched.items() for r in found if r.offset < self._ends[tp]]
            if records:
                yield records

    async def _partitions(self) -> list[TopicPartition]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka_brokers)
        try:
            await admin.start()
            return await topics.partitions(admin, self._topic)
        finally:
            await admin.close()

    async def _beginnings(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        found: dict[TopicPartition, int] = await self._consumer.beginning_offsets(partitions)
        for tp, offset in found.items():
            if offset > 0:
                raise BeginningGone(
                    f"{tp.topic}[{tp.partition}] begins at offset {offset}: what was before is gone"
                )
        return found

    async def _after(self, partitions: list[TopicPartition], since: float) -> dict[TopicPartition, int]:
        moment = int((time.time() - since) * 1000)
        found = await self._consumer.offsets_for_times(dict.fromkeys(partitions, moment))
        return {tp: found[tp].offset if found.get(tp) else self._ends[tp] for tp in partitions}
