"""A transactional producer that fences: whoever claims a transactional id shuts out its last owner.

A worker that was paused past its session wakes up holding verdicts that another worker has decided meanwhile. Kafka
refuses it: the claim has ended its transaction and its rights (docs/decisions/0001). What is published is published as
a whole or not at all; readers use read_committed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed

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
    """One transactional id, from its claim on. Raises aiokafka's errors, OSError and TimeoutError."""

    def __init__(self, settings: Settings, transactional_id: str, stable: LastStableOffset, **options: Any):
        """`options`: aiokafka's."""
        self._settings = settings
        self._stable = stable
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka_brokers,
            transactional_id=transactional_id,
            transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
            max_batch_size=MAX_BATCH_BYTES,
            **options,
        )

    async def claim(self, partitions: Iterable[TopicPartition]) -> None:
        """Shut out the last owner and abort its transaction, also where it hangs in one of these partitions."""
        await self._producer.start()
        for tp in partitions:
            await self._abort_hanging_transaction(tp)

    async def _abort_hanging_transaction(self, tp: TopicPartition) -> None:
        """Committed but without its marker (KIP-664), it would hide all that follows from every reader; abort it.

        Nobody counts it as published. The one record that our transaction needs is never visible.
        """
        written = (await high_watermarks(self._settings, [tp]))[tp]
        try:
            async with asyncio.timeout(HANGS_AFTER):
                await self._stable.wait_for(tp.topic, tp.partition, written)
        except TimeoutError:
            log.warning("%s[%d] has a hanging transaction: it is aborted", tp.topic, tp.partition)
            await self._producer.begin_transaction()
            await self._send(tp, [(None, b"", [])])
            await self._producer.abort_transaction()

    async def publish(
        self, records: Mapping[TopicPartition, Iterable[Record]]
    ) -> dict[TopicPartition, list[int]]:
        """Write the records (key, value, headers), all or none; their offsets.

        After an error it is not known which, and this producer is of no use any more: claim again and read the log.
        """
        await self._producer.begin_transaction()
        offsets = {tp: await self._send(tp, some) for tp, some in records.items()}
        await self._producer.commit_transaction()
        return offsets

    async def wait_until_readable(self, published: Mapping[TopicPartition, list[int]]) -> None:
        """Return once what `publish` gave is below the last stable offset. No time-out."""
        for tp, offsets in published.items():
            await self._stable.wait_for(tp.topic, tp.partition, offsets[-1] + 1)

    async def _send(self, tp: TopicPartition, records: Iterable[Record]) -> list[int]:
        offsets: list[int] = []
        for batch in batches(self._producer, records):
            sent = await (await self._producer.send_batch(batch, tp.topic, partition=tp.partition))
            offsets += range(sent.offset, sent.offset + batch.record_count())
        return offsets

    async def abort(self) -> None:
        """End an open transaction, so that readers need not wait for its time-out; nothing where it was fenced."""
        if not self._producer._txn_manager.is_fatal_error():
            await self._producer.abort_transaction()

    async def close(self) -> None:
        """Disconnect; what it might still send is refused once its id is claimed again."""
        try:
            await asyncio.wait_for(self._producer.stop(), STOP_WITHIN)
        except (KafkaError, OSError, TimeoutError):
            await _cut(self._producer)


async def _cut(producer: AIOKafkaProducer) -> None:
    """End what `stop` has not: it waits for Kafka's answers, and given up it leaves its tasks and connection behind."""
    producer._message_accumulator.fail_all(ProducerClosed())
    await producer.client.close()
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()  # more than once: at the first it waits for its requests
        await asyncio.wait([sender], timeout=CANCELLED_WITHIN)
