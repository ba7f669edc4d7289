"""The log: publish a record, publish a batch to a partition, read a partition's tail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import ConsumerRecord

from app.errors import LogUnavailable, NotTaken, Poison
from app.settings import Settings

Headers = list[tuple[str, bytes]]  # aiokafka takes no other sequence

#: A batch message for one partition; the broker's own bound is message.max.bytes, 1 MiB by default.
MAX_BATCH_BYTES = 900_000
REQUEST_TIMEOUT = 15.0


class Log:
    """A producer whose every record is acknowledged by all replicas in sync, once, in order."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._in_flight = 0

    async def open(self) -> None:
        """Connect; LogUnavailable when no broker answers."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._settings.kafka_brokers,
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(REQUEST_TIMEOUT * 1000),
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as exc:
            await producer.stop()
            raise LogUnavailable(f"Kafka at {self._settings.kafka_brokers} does not answer: {exc!r}") from exc
        self._producer = producer

    async def close(self) -> None:
        """Flush and disconnect."""
        if self._producer is not None:
            await self._producer.stop()

    @property
    def is_open(self) -> bool:
        """Whether publish can work at all."""
        return self._producer is not None

    async def ping(self) -> None:
        """A broker answers, or LogUnavailable."""
        if self._producer is None:
            raise LogUnavailable("not reached since the start")
        try:
            await self._producer.client.fetch_all_metadata()
        except (KafkaError, OSError) as exc:
            raise LogUnavailable(f"no broker answers: {exc!r}") from exc

    async def publish(self, topic: str, key: str, value: bytes, timeout: float) -> None:
        """One record, acknowledged; NotTaken; LogUnavailable after `timeout` seconds: then it may still get there.

        A producer cannot take a record back, so what waits is counted until Kafka's answer, not the caller's.
        """
        if self._producer is None:
            raise NotTaken("Kafka has not been reached since the start")
        if self._in_flight >= self._settings.posts_in_flight:
            raise NotTaken(f"{self._in_flight} records wait for Kafka's answer already")
        self._in_flight += 1
        send = asyncio.ensure_future(self._producer.send_and_wait(topic, key=key.encode(), value=value))
        send.add_done_callback(self._answered)
        try:
            await asyncio.wait_for(asyncio.shield(send), timeout)
        except TimeoutError as exc:
            raise LogUnavailable(f"no answer of Kafka within {timeout:g} s") from exc
        except KafkaError as exc:
            raise LogUnavailable(f"Kafka did not take the record: {exc!r}") from exc

    def _answered(self, send: asyncio.Future[object]) -> None:
        self._in_flight -= 1
        if not send.cancelled():
            send.exception()  # seen: the caller has been answered already

    async def publish_batch(
        self, topic: str, partition: int, records: Iterable[tuple[str | bytes | None, bytes | None, Headers]]
    ) -> None:
        """Records (key, value, headers) to one partition, in order; returns when all are acknowledged."""
        if self._producer is None:
            raise LogUnavailable("Kafka has not been reached since the start")
        try:
            for batch in self._batches(records):
                future = await self._producer.send_batch(batch, topic, partition=partition)
                await future
        except MessageSizeTooLargeError as exc:
            raise Poison(f"larger than {topic} takes (its max.message.bytes): {exc}") from exc
        except KafkaError as exc:
            raise LogUnavailable(f"Kafka did not take a batch for {topic}[{partition}]: {exc!r}") from exc

    def _batches(
        self, records: Iterable[tuple[str | bytes | None, bytes | None, Headers]]
    ) -> Iterable[object]:
        assert self._producer is not None
        batch, now = self._producer.create_batch(), int(time.time() * 1000)
        for key, value, headers in records:
            raw = key.encode() if isinstance(key, str) else key
            if batch.append(timestamp=now, key=raw, value=value, headers=headers) is None:
                batch.close()
                yield batch
                batch = self._producer.create_batch()
                batch.append(timestamp=now, key=raw, value=value, headers=headers)
        batch.close()
        yield batch


class TailReader:
    """Reads a partition backward from its end, in growing steps, with one consumer of no group."""

    FIRST_STEP = 500

    def __init__(self, settings: Settings):
        self._settings = settings
        self._lock = asyncio.Lock()
        self._consumer: AIOKafkaConsumer | None = None

    async def open(self) -> None:
        """Connect; LogUnavailable when no broker answers."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_brokers,
            enable_auto_commit=False,
            request_timeout_ms=int(REQUEST_TIMEOUT * 1000),
            fetch_max_wait_ms=50,  # a fetch at one partition's end must not hold up the next partition's first
        )
        try:
            await consumer.start()
        except (KafkaError, OSError) as exc:
            await consumer.stop()
            raise LogUnavailable(f"Kafka at {self._settings.kafka_brokers} does not answer: {exc!r}") from exc
        self._consumer = consumer

    async def close(self) -> None:
        """Disconnect."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def read_back(
        self, topic: str, partition: int, far_enough: Callable[[Sequence[ConsumerRecord]], Awaitable[bool]]
    ) -> list[ConsumerRecord]:
        """The partition's newest records, oldest first, going back until `far_enough(them)` or the beginning."""
        if self._consumer is None:
            raise LogUnavailable("Kafka has not been reached since the start")
        async with self._lock:
            try:
                return await self._read_back(self._consumer, TopicPartition(topic, partition), far_enough)
            except KafkaError as exc:
                raise LogUnavailable(f"the end of {topic}[{partition}] could not be read: {exc!r}") from exc

    async def _read_back(
        self,
        consumer: AIOKafkaConsumer,
        tp: TopicPartition,
        far_enough: Callable[[Sequence[ConsumerRecord]], Awaitable[bool]],
    ) -> list[ConsumerRecord]:
        consumer.assign([tp])
        beginning = (await consumer.beginning_offsets([tp]))[tp]
        start = end = (await consumer.end_offsets([tp]))[tp]
        records: list[ConsumerRecord] = []
        step = self.FIRST_STEP
        while start > beginning:
            chunk_end, start, step = start, max(beginning, start - step), step * 4
            records = await self._read(consumer, tp, start, chunk_end) + records
            if await far_enough(records):
                break
        assert start <= end
        return records

    async def _read(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int
    ) -> list[ConsumerRecord]:
        consumer.seek(tp, start)
        records: list[ConsumerRecord] = []
        deadline = time.monotonic() + REQUEST_TIMEOUT
        # The position, not the last record's offset: the log may hold markers that are no records.
        while await consumer.position(tp) < end:
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"{tp.topic}[{tp.partition}] gave no records within {REQUEST_TIMEOUT:g} s"
                )
            fetched = await consumer.getmany(tp, timeout_ms=500)
            records += [record for record in fetched.get(tp, []) if record.offset < end]
        return records
