"""Into the log: publish a record, publish a batch to a partition."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from app import connections
from app.errors import LogUnavailable, NotPublished, Poison
from app.messaging.kafka_errors import log_unavailable
from app.messaging.record_accumulator import RecordAccumulator
from app.messaging.stopping import stop
from app.messaging.switch import LOOK_EVERY, LOOK_OFTEN, LOOK_WITHIN, LOOK_WITHIN_MOST, Switch
from app.observability import metrics
from app.retry import pauses
from app.settings import Settings

log = logging.getLogger(__name__)

Headers = list[tuple[str, bytes]]  # aiokafka takes no other sequence
Record = tuple[str | bytes | None, bytes | None, Headers]
#: And when its sender had it, in milliseconds since 1970: a record may wait here for the answer to those before it.
TimedRecord = tuple[int, Record]

#: A batch message for one partition; the broker's own bound is message.max.bytes, 1 MiB by default.
MAX_BATCH_BYTES = 900_000
#: Seconds until a request to a broker that hangs is sent to another one; what its partitions get meanwhile waits.
REQUEST_TIMEOUT = 5.0
#: Milliseconds until a partition that was added to a topic is written to and read; clients' default is five minutes.
METADATA_MAX_AGE = 5_000


class EventProducer:
    """A producer whose every record is acknowledged by all replicas in sync, once, in order."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._accumulator = RecordAccumulator(self._publish_batch)
        self._switches: defaultdict[str, Switch] = defaultdict(Switch)
        metrics.IN_FLIGHT.set_function(lambda: self._accumulator.held)

    async def open(self) -> None:
        """Connect; LogUnavailable when no broker answers."""
        self._producer = await self._started()

    async def _started(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            **connections.kafka(self._settings),
            acks="all",
            enable_idempotence=True,
            max_batch_size=MAX_BATCH_BYTES,
            request_timeout_ms=int(REQUEST_TIMEOUT * 1000),
            metadata_max_age_ms=METADATA_MAX_AGE,
        )
        try:
            with log_unavailable(f"Kafka at {self._settings.kafka_brokers} does not answer"):
                await producer.start()
        except LogUnavailable:
            await producer.stop()
            raise
        return producer

    async def close(self) -> None:
        """Flush and disconnect, without what Kafka does not take in time: nobody was told that it has."""
        try:
            async with asyncio.timeout(self._settings.publish_timeout):
                await self._accumulator.empty()
                if self._renewal is not None:
                    await asyncio.wait([self._renewal])
        except TimeoutError:
            log.warning(
                "Stopping without Kafka's answer to %d records; their POSTs were a 503",
                self._accumulator.held,
            )
        producer, self._producer = self._producer, None  # whatever it refuses from now on begins nothing anew
        if producer is not None:
            await stop(producer)

    @property
    def is_open(self) -> bool:
        """Whether publish can work at all."""
        return self._producer is not None

    async def partition_counts(self, names: Sequence[str]) -> list[int]:
        """How many partitions each topic has now (0: there is no such topic), or LogUnavailable."""
        counts, _ = await self._described(names)
        return counts

    async def partitions_and_brokers(self, names: Sequence[str]) -> tuple[list[int], int]:
        """As `partition_counts`; and how many brokers take a connection, of those that the cluster counts in."""
        counts, brokers = await self._described(names)
        client = self._opened.client
        return counts, sum(await asyncio.gather(*(client.ready(broker.nodeId) for broker in brokers)))

    async def _described(self, names: Sequence[str]) -> tuple[list[int], Collection[Any]]:
        client = self._opened.client
        with log_unavailable("no broker answers"):
            cluster = await client.fetch_all_metadata()
        return [len(cluster.partitions_for_topic(name) or ()) for name in names], cluster.brokers()

    async def follow_growth(self, grows_last: str, grows_first: str, record: str) -> None:
        """Until cancelled: know soon when partitions were added to a topic, as all others do (see Switch).

        They are added to another one some seconds before, and then it is looked for often; `record`: the topic that is
        there once any were added.
        """
        switch, loop, pause = self._switches[grows_last], asyncio.get_running_loop(), LOOK_OFTEN
        switch.wait_for_a_look()
        within = pauses(LOOK_WITHIN, LOOK_WITHIN_MOST)
        while True:
            asked, counts = loop.time(), [0, 0, 0]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(next(within)):
                    with contextlib.suppress(LogUnavailable):
                        counts = await self.partition_counts((grows_last, grows_first, record))
                within = pauses(LOOK_WITHIN, LOOK_WITHIN_MOST)
            count, announced, has_grown = counts
            if count:
                is_near = announced > count
                switch.looked(count, asked, loop.time(), is_near=is_near, has_grown=has_grown > 0)
                pause = LOOK_OFTEN if is_near else LOOK_EVERY
            await asyncio.sleep(pause)

    @property
    def _opened(self) -> AIOKafkaProducer:
        if self._producer is None:
            raise LogUnavailable("not reached since the start")
        return self._producer

    async def publish(
        self, topic: str, key: str, value: bytes, timeout: float, headers: Headers | None = None
    ) -> None:
        """One record, acknowledged; NotPublished; LogUnavailable after `timeout` seconds: then it may still get there.

        A producer cannot take a record back, so what waits is counted until Kafka's answer, not the caller's.
        """
        producer = self._producer
        if producer is None:
            raise NotPublished("Kafka has not been reached since the start")
        if self._accumulator.held >= self._settings.max_in_flight_posts:
            raise NotPublished(f"{self._accumulator.held} records wait for Kafka's answer already")
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        switch = self._switches[topic]
        if not switch.is_sure(loop.time()):
            raise NotPublished("Kafka has not said how many partitions there are now")
        switch.saw(len(await _partitions(producer, topic, timeout)), loop.time())
        partition, not_before = switch.place(key.encode(), loop.time())
        if not_before > loop.time():
            if not_before > until:
                raise NotPublished("its customer moves to another partition just now")
            await asyncio.sleep(not_before - loop.time())
        answer = self._accumulator.put(topic, partition, (_millis(), (key, value, headers or [])))
        # A timer costs a tenth of what wait_for and its task do.
        timer = loop.call_at(until, _give_up, answer, timeout)
        try:
            await answer
        except Poison as exc:
            raise LogUnavailable(f"Kafka did not take the record: {exc}") from exc
        finally:
            timer.cancel()

    def _refused(self, producer: AIOKafkaProducer, exc: BaseException | None) -> None:
        """After a record that Kafka refuses, all that follow in its partition are out of order: begin anew."""
        is_new = producer is self._producer and (self._renewal is None or self._renewal.done())
        if is_new and isinstance(exc, KafkaError) and not exc.retriable:
            self._renewal = asyncio.create_task(self._renew(producer))

    async def _renew(self, refused: AIOKafkaProducer) -> None:
        with contextlib.suppress(LogUnavailable):  # then the next refusal begins anew
            self._producer = await self._started()
            await refused.stop()  # sends what it still holds of other partitions

    async def publish_batch(self, topic: str, partition: int, records: Iterable[Record]) -> None:
        """Records (key, value, headers) to one partition, in order; returns when all are acknowledged."""
        await self._publish_batch(topic, partition, _had_now(records))

    async def _publish_batch(self, topic: str, partition: int, records: Iterable[TimedRecord]) -> None:
        producer = self._producer
        if producer is None:
            raise LogUnavailable("Kafka has not been reached since the start")
        try:
            await _know(producer, topic, partition)
            for batch in timed_batches(producer, records):
                await (await producer.send_batch(batch, topic, partition=partition))
        except KafkaError as exc:
            self._refused(producer, exc)
            if isinstance(exc, MessageSizeTooLargeError):
                raise Poison(f"larger than {topic} takes (its max.message.bytes): {exc}") from exc
            raise LogUnavailable(f"Kafka did not take a batch for {topic}[{partition}]: {exc!r}") from exc


async def _partitions(producer: AIOKafkaProducer, topic: str, timeout: float) -> Collection[int]:
    """Known at once, but for a topic that has not been asked about yet."""
    known: Collection[int] | None = producer.client.cluster.partitions_for_topic(topic)
    if known:
        return known
    with log_unavailable(f"Kafka does not answer which partitions {topic} has", NotPublished):
        async with asyncio.timeout(timeout):
            return await producer.partitions_for(topic)  # type: ignore[no-any-return]


async def _know(producer: AIOKafkaProducer, topic: str, partition: int) -> None:
    """Ask Kafka again about a partition that may have been added since; aiokafka would fail an assertion."""
    known = producer.client.cluster.partitions_for_topic(topic)
    if known and partition not in known:
        await producer.client.force_metadata_update()
        if partition not in producer.client.cluster.partitions_for_topic(topic):
            raise LogUnavailable(f"{topic} has no partition {partition}, or not yet")


def _give_up(answer: asyncio.Future[None], timeout: float) -> None:
    if not answer.done():
        answer.set_exception(LogUnavailable(f"no answer of Kafka within {timeout:.1f} s"))


def _millis() -> int:
    return int(time.time() * 1000)


def _had_now(records: Iterable[Record]) -> Iterable[TimedRecord]:
    now = _millis()
    return ((now, one) for one in records)


def batches(producer: AIOKafkaProducer, records: Iterable[Record]) -> Iterable[Any]:
    """The records as aiokafka's batches: a future a batch, not a future a record."""
    return timed_batches(producer, _had_now(records))


def timed_batches(producer: AIOKafkaProducer, records: Iterable[TimedRecord]) -> Iterable[Any]:
    """As `batches`."""
    batch = producer.create_batch()
    for at, (key, value, headers) in records:
        raw = key.encode() if isinstance(key, str) else key
        if batch.append(timestamp=at, key=raw, value=value, headers=headers) is None:
            batch.close()
            yield batch
            batch = producer.create_batch()
            batch.append(timestamp=at, key=raw, value=value, headers=headers)
    batch.close()
    yield batch
