"""The status topic's one writer a partition: whoever takes a partition shuts out whoever had it.

A worker that was paused past its session wakes up with verdicts in its hands that somebody else has decided meanwhile.
Kafka's transactional producer fences it: taking a partition ends the transaction and the rights of its last owner
(docs/decisions/0001). A batch is told as a whole or not at all; readers of the topic read what is committed. Told is
what can be read, not what Kafka has promised to commit (app/messaging/last_stable_offset.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed

from app.errors import LogUnavailable
from app.messaging.last_stable_offset import Committed
from app.messaging.producer import MAX_BATCH_BYTES, Record, batches
from app.messaging.tail_reader import written_ends
from app.settings import Settings

log = logging.getLogger(__name__)

#: Kafka ends a transaction whose producer is gone after this; readers of the partition wait as long.
TRANSACTION_TIMEOUT = 10.0
STOP_WITHIN = 1.0
CANCELLED_WITHIN = 0.1
#: Seconds after which what is not committed has no mark to come, or is of another transaction, which readers wait for.
HANGS_AFTER = 1.0


class Teller:
    """Transactional producers, one a partition that was taken."""

    def __init__(self, settings: Settings, topic: str):
        self._settings = settings
        self._topic = topic
        self._producers: dict[int, AIOKafkaProducer] = {}
        self._committed = Committed(settings)

    async def take(self, partition: int) -> None:
        """Become the partition's writer; what the last one had not finished is undone. LogUnavailable."""
        await self._drop(partition)
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_brokers,
            transactional_id=f"{self._topic}-{partition}",
            transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
            max_batch_size=MAX_BATCH_BYTES,
        )
        self._producers[partition] = producer
        try:
            async with asyncio.timeout(self._settings.tell_timeout):
                await producer.start()
                await self._end_what_hangs(producer, partition)
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._drop(partition)
            raise LogUnavailable(f"{self._topic}[{partition}] could not be taken: {exc!r}") from exc

    async def _end_what_hangs(self, producer: AIOKafkaProducer, partition: int) -> None:
        """Committed and never marked, it would hide all that follows from every reader; an abort marks it as undone.

        Nobody has taken it for told. The record that the transaction needs is never shown.
        """
        tp = TopicPartition(self._topic, partition)
        written = (await written_ends(self._settings, [tp]))[tp]
        try:
            async with asyncio.timeout(HANGS_AFTER):
                await self._committed.reaches(self._topic, partition, written)
        except TimeoutError:
            log.warning("%s[%d] has records that nobody commits: they are undone", self._topic, partition)
            await producer.begin_transaction()
            for batch in batches(producer, [(None, b"", [])]):
                await (await producer.send_batch(batch, self._topic, partition=partition))
            await producer.abort_transaction()

    async def tell(self, partition: int, records: Iterable[Record]) -> list[int]:
        """Write the records (key, value, headers), all or none, and give their offsets.

        Take the partition again after LogUnavailable.

        After LogUnavailable it is not known which: the producer is gone, and only the log itself can tell. So also
        where Kafka has refused a record: the next one of that producer would be out of its order.
        """
        producer = self._producers.get(partition)
        if producer is None:
            raise LogUnavailable(f"{self._topic}[{partition}] is to be taken first")
        try:
            async with asyncio.timeout(self._settings.tell_timeout):
                await producer.begin_transaction()
                offsets: list[int] = []
                for batch in batches(producer, records):
                    sent = await (await producer.send_batch(batch, self._topic, partition=partition))
                    offsets += range(sent.offset, sent.offset + batch.record_count())
                await producer.commit_transaction()
                await self._committed.reaches(self._topic, partition, offsets[-1] + 1)
        # No abort after a failure: with Kafka dead it would wait for Kafka, past any time-out; taking the partition
        # again ends what is open.
        except (KafkaError, OSError, TimeoutError) as exc:
            await self._drop(partition)
            raise LogUnavailable(f"{self._topic}[{partition}] could not be told: {exc!r}") from exc
        return offsets

    async def close(self) -> None:
        """Disconnect."""
        await asyncio.gather(*(self._drop(partition) for partition in list(self._producers)))
        await self._committed.close()

    async def _drop(self, partition: int) -> None:
        producer = self._producers.pop(partition, None)
        if producer is not None:
            # What it might still send is refused once the partition is taken again.
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
