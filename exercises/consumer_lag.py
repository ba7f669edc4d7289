"""How many records of transaction_created a group has not finished, asked of Kafka, each second, also while it dies."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from infra.native import ports

TOPIC = "transaction_created"
WITHIN = 0.8


class ConsumerLag:
    """Two connections that are made anew after each failure."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._consumer: Any = None
        self._admin: Any = None

    async def size(self) -> int | None:
        """Records behind, or None while it is not known."""
        try:
            async with asyncio.timeout(WITHIN):
                return await self._asked()
        except (KafkaError, OSError, TimeoutError, ValueError):
            await self.close()
            return None

    async def _asked(self) -> int:
        if self._admin is None:
            self._consumer = AIOKafkaConsumer(
                bootstrap_servers=ports.kafka_brokers(), enable_auto_commit=False
            )
            self._admin = AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers())
            await self._consumer.start()
            await self._admin.start()
        (topic,) = await self._admin.describe_topics([TOPIC])
        partitions = [TopicPartition(TOPIC, p["partition"]) for p in topic["partitions"]]
        # In this order: what is finished between the two calls must not make the lag negative.
        done = await self._admin.list_consumer_group_offsets(self._group)
        ends = await self._consumer.end_offsets(partitions)
        return sum(end - max(0, done[tp].offset if tp in done else 0) for tp, end in ends.items())

    async def close(self) -> None:
        """Disconnect."""
        clients, self._consumer, self._admin = (self._consumer, self._admin), None, None
        for client, end in zip(clients, ("stop", "close"), strict=True):
            if client is not None:
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    await asyncio.wait_for(getattr(client, end)(), WITHIN)
