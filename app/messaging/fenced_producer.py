"""One fenced writer per partition of the status topic: whoever claims a partition shuts out its last owner.

A worker that was paused past its session wakes up holding verdicts that another worker has decided meanwhile. Kafka's
transactional producer fences it: claiming a partition ends the transaction and the rights of its last owner
(docs/decisions/0001). A batch is published as a whole or not at all; readers use read_committed. A status counts as
published once it is below the last stable offset, not when Kafka has acknowledged the commit (last_stable_offset.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed

from app.errors import LogUnavailable
from app.messaging.last_stable_offset import LastStableOffset
from app.messaging.producer import MAX_BATCH_BYTES, Record, batches
from app.messaging.tail_reader import high_watermarks
from app.settings import Settings

log = logging.getLogger(__name__)

#: Kafka ends a transaction whose producer is gone after this; readers of the partition wait as long.
TRANSACTION_TIMEOUT = 10.0
STOP_WITHIN = 1.0
CANCELLED_WITHIN = 0.1
#: Seconds after which no commit marker will come any more, or the open transaction is another producer's.
HANGS_AFTER = 1.0


class FencedProducer:
    """Transactional producers, one per claimed partition."""

    def __init__(self, settings: Settings, topic: str):
        self._settings = settings
        self._topic = topic
        self._producers: dict[int, AIOKafkaProducer] = {}
        self._committed = LastStableOffset(settings)

    async def claim(self, partition: int) -> None:
        """Become the partition's writer; what the last one had not committed is aborted. LogUnavailable."""
        await self._drop(partition)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_brokers,
            transactional_id=f"{self._topic}-{partition}",
            transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
            max_batch_size=MAX_BATCH_BYTES,
        )
        self._producers[partition] = producer
        try:
            async with asyncio.timeout(self._settings.status_publish_timeout):
                await producer.start()
                await self._abort_hanging_transaction(producer, partition)
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._drop(partition)
            raise LogUnavailable(f"{self._topic}[{partition}] could not be claimed: {exc!r}") from exc

    async def _abort_hanging_transaction(self, producer: AIOKafkaProducer, partition: int) -> None:
        """Committed but without its marker (KIP-664), it would hide all that follows from every reader; abort it.

        Nobody counts it as published. The one record that our transaction needs is never visible.
        """
        tp = TopicPartition(self._topic, partition)
        written = (await high_watermarks(self._settings, [tp]))[tp]
        try:
            async with asyncio.timeout(HANGS_AFTER):
                await self._committed.wait_for(self._topic, partition, written)
        except TimeoutError:
            log.warning("%s[%d] has a hanging transaction: it is aborted", self._topic, partition)
            await producer.begin_transaction()
            for batch in batches(producer, [(None, b"", [])]):
                await (await producer.send_batch(batch, self._topic, partition=partition))
            await producer.abort_transaction()

    async def publish(self, partition: int, records: Iterable[Record]) -> list[int]:
        """Write the records (key, value, headers), all or none, and give their offsets.

        After LogUnavailable it is not known which: claim the partition again and read the log. Likewise when Kafka has
        refused a record: that producer's next one would be out of sequence.
        """
        producer = self._producers.get(partition)
        if producer is None:
            raise LogUnavailable(f"{self._topic}[{partition}] must be claimed first")
        try:
            async with asyncio.timeout(self._settings.status_publish_timeout):
                await producer.begin_transaction()
                offsets: list[int] = []
                for batch in batches(producer, records):
                    sent = await (await producer.send_batch(batch, self._topic, partition=partition))
                    offsets += range(sent.offset, sent.offset + batch.record_count())
                await producer.commit_transaction()
                await self._committed.wait_for(self._topic, partition, offsets[-1] + 1)
        # No abort after a failure: with Kafka down it would wait for Kafka, past any timeout; the next claim aborts
        # what is open.
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._drop(partition)
            raise LogUnavailable(f"{self._topic}[{partition}] could not be published: {exc!r}") from exc
        return offsets

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(self._drop(partition) for partition in list(self._producers)))
        await self._committed.close()

    async def _drop(self, partition: int) -> None:
        producer = self._producers.pop(partition, None)
        if producer is not None:
            # What it might still send is refused once the partition is claimed again.
            try:
                await asyncio.wait_for(producer.stop(), STOP_WITHIN)
            except (KafkaError, OSError, TimeoutError):
                await _cut(producer)


async def _cut(producer: AIOKafkaProducer) -> None:
    """End what `stop` has not: it waits for Kafka's answers, and given up it leaves its tasks and connection behind."""
    producer._message_accumulator.fail_all(ProducerClosed())
    await producer.client.close()
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()  # more than once: at the first it waits for its requests
        await asyncio.wait([sender], timeout=CANCELLED_WITHIN)
