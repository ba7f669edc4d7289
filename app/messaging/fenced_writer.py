"""The one instance of a job (a command's, or the bff's) that writes into the log: the last one fences the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from app.errors import LogUnavailable
from app.messaging.fenced_producer import FencedProducer
from app.messaging.last_stable_offset import LastStableOffset
from app.messaging.producer import Headers, Record
from app.settings import Settings

#: Milliseconds that Kafka has for an answer, or for one address of KAFKA_BROKERS to be reached: a person waits.
ANSWERS_WITHIN_MS = 10_000
ABORT_WITHIN = 1.0


class Outgoing(NamedTuple):
    """A record on its way to one partition."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class FencedWriter:
    """A fenced producer by the job's name; read the log after `async with`: then nobody else adds to it."""

    def __init__(self, settings: Settings, job: str, partitions: Iterable[TopicPartition] = ()):
        """`partitions`: those that nobody else of this name may write to, as soon as it is entered."""
        self._stable = LastStableOffset(settings)
        self._producer = FencedProducer(
            settings,
            job,
            self._stable,
            request_timeout_ms=ANSWERS_WITHIN_MS,
            compression_type="gzip",  # what came compressed may be too large without
        )
        self._partitions = partitions

    async def __aenter__(self) -> FencedWriter:
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_MS / 1000):
                await self._producer.claim(self._partitions)
        except BaseException as exc:
            await self._close()
            if isinstance(exc, TimeoutError):
                raise LogUnavailable(
                    "Kafka does not answer, or another producer has a transaction open"
                ) from exc
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._close()

    async def _close(self) -> None:
        await self._producer.close()
        await self._stable.close()

    async def write(self, records: Iterable[Outgoing]) -> dict[TopicPartition, list[int]]:
        """All of them or none; their offsets."""
        by_partition: dict[TopicPartition, list[Record]] = {}
        for topic, partition, key, value, headers in records:
            by_partition.setdefault(TopicPartition(topic, partition), []).append((key, value, headers))
        try:
            return await self._producer.publish(by_partition)
        except BaseException:  # Ctrl-C too: readers would wait for the transaction's time-out
            # Where Kafka hangs they do; in the middle of a commit aiokafka fails an assertion.
            with contextlib.suppress(KafkaError, OSError, TimeoutError, AssertionError):
                async with asyncio.timeout(ABORT_WITHIN):
                    await self._producer.abort()
            raise

    async def publish(self, records: Iterable[Outgoing]) -> None:
        """All of them or none; returns once they can be read. LogUnavailable: committed, but not readable yet."""
        written = await self.write(records)
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_MS / 1000):
                await self._producer.wait_until_readable(written)
        except TimeoutError:
            raise LogUnavailable(
                "what was published cannot be read yet: its commit marker is missing, or another producer has a "
                "transaction open. Run it again"
            ) from None
