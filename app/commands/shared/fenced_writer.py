"""The one instance of a command that writes into the log: the last one started fences the others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer

from app.commands.shared.console import ANSWERS_WITHIN_MS
from app.messaging.producer import MAX_BATCH_BYTES, Headers
from app.settings import Settings


class Outgoing(NamedTuple):
    """A record on its way to one partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class FencedWriter:
    """A transactional producer by the command's name; read the log after `start`, then nobody else adds to it.

    Kafka fences it: from the start of a second one on the first one's writes fail with ProducerFenced, also when it
    was only paused, and what it had begun is aborted. Two at once cannot both publish.
    """

    def __init__(self, settings: Settings, command: str):
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_brokers,
            transactional_id=command,
            transaction_timeout_ms=10_000,
            request_timeout_ms=ANSWERS_WITHIN_MS,
            max_batch_size=MAX_BATCH_BYTES,
            compression_type="gzip",  # what came compressed may be too large without
        )

    async def __aenter__(self) -> FencedWriter:
        await self._producer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()

    async def write(self, records: Iterable[Outgoing]) -> None:
        """All of them or none."""
        async with self._producer.transaction():
            for (topic, partition), those in groupby(records, key=lambda record: record[:2]):
                for batch in self._batches(those):
                    await (await self._producer.send_batch(batch, topic, partition=partition))

    def _batches(self, records: Iterable[Outgoing]) -> Iterator[Any]:
        # As batches, since `send` refuses a record that has neither key nor value: poison may be that.
        batch, now = self._producer.create_batch(), int(time.time() * 1000)
        for record in records:
            content = {"key": record.key, "value": record.value, "headers": record.headers}
            if batch.append(timestamp=now, **content) is None:
                yield batch
                batch = self._producer.create_batch()
                batch.append(timestamp=now, **content)
        yield batch
