"""The one instance of a command that writes into the log: whoever starts last shuts the others out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer

from app.clients.kafka import Headers
from app.settings import Settings


class Outgoing(NamedTuple):
    """A record on its way to one partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class OneWriter:
    """A transactional producer by the command's name; read the log after `start`, then nobody else adds to it.

    Kafka fences it: from the start of a second one on the first one's writes fail with ProducerFenced, also when it
    was only paused, and what it had begun is undone. Two at once cannot both tell.
    """

    def __init__(self, settings: Settings, command: str):
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_brokers,
            transactional_id=command,
            transaction_timeout_ms=10_000,
            max_request_size=2 * 1024 * 1024,
        )

    async def __aenter__(self) -> OneWriter:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def write(self, records: Iterable[Outgoing]) -> None:
        """All of them or none."""
        async with self._producer.transaction():
            sent = [
                await self._producer.send(r.topic, r.value, r.key, r.partition, headers=r.headers)
                for r in records
            ]
            for acknowledged in sent:
                await acknowledged
