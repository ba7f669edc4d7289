"""The transactions' topics as they are written: each bff reads all of them for itself, while somebody watches."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from aiokafka import TopicPartition

from app import connections
from app.errors import LogUnavailable, Poison, Transient
from app.messaging import topics
from app.messaging.fetching import Fetching
from app.messaging.kafka_errors import log_unavailable
from app.messaging.log_consumer import LogConsumer
from app.messaging.producer import METADATA_MAX_AGE
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from app.resources import Resources
from app.retry import pauses

log = logging.getLogger(__name__)

#: What is followed: transactions, from their records to the end of each. Labels say nothing of that.
FOLLOWED = (topics.CREATED, topics.STATUS, topics.DEAD_LETTER)
#: Records of each partition that are read at the start at least, so that clients of a bff that was killed continue in
#: them; those of the last seconds, for the audit; and how many at most.
BACKLOG, BACKLOG_SECONDS, BACKLOG_MOST = 500, 900, 2500
#: Seconds that the log is still read after its last use: the next one does not wait for a start.
IDLE = 60.0
#: Seconds of one fetch, and of one call to Kafka.
FETCH, CALL = 0.5, 5.0
#: Records decoded at a time: the bff's other work waits for so long.
AT_ONCE = 500
#: Seconds after a failure; doubled up to the second.
PAUSE, PAUSE_MOST = 0.2, 2.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Logged(Generic[T]):
    """A record and its place in the log; `timestamp_ms` is when its producer sent it."""

    partition: int
    offset: int
    timestamp_ms: int
    value: T


@dataclass(slots=True)
class Written:
    """What one fetch has brought; a dead letter is the record as it is."""

    created: list[Logged[Transaction]] = field(default_factory=list)
    statuses: list[Logged[TransactionStatus]] = field(default_factory=list)
    dead_letters: list[Any] = field(default_factory=list)


class Listener(Protocol):
    """Is called with all that is written, while the feed runs; must neither wait nor raise."""

    def begin(self, offsets: Mapping[int, int]) -> None:
        """The feed has not run, and begins at these offsets of transaction_status."""

    def take(self, written: Written) -> None:
        """This was written."""

    def went_live(self) -> None:
        """All that the log had when the feed began, or began again, was taken."""


class LiveFeed:
    """Hands what is written to the listeners, in the order of each partition, nothing left out while it runs."""

    def __init__(self, resources: Resources, listeners: Sequence[Listener]):
        self._resources = resources
        self._listeners = listeners
        self._users = 0
        self._wanted = asyncio.Event()
        self._idle_since = time.monotonic()
        self._next: dict[TopicPartition, int] = {}
        self._consumer: Any = None
        self._beginnings: dict[TopicPartition, int] = {}
        self._ends_at_start: dict[TopicPartition, int] = {}
        self._live = asyncio.Event()
        self._passed = asyncio.Event()  # set for a moment when a pass is over

    @contextlib.contextmanager
    def in_use(self) -> Iterator[None]:
        """It runs while this lasts."""
        self._users += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._users -= 1
            self._idle_since = time.monotonic()

    def begin_at(self, offsets: Mapping[int, int]) -> None:
        """If it does not run yet: begin no later than at these offsets of transaction_status."""
        if self._consumer is None and not self._ends_at_start:
            for partition, offset in offsets.items():
                tp = TopicPartition(topics.STATUS, partition)
                self._next[tp] = min(offset, self._next.get(tp, offset))

    @property
    def is_live(self) -> bool:
        """Whether it has come to where the log ended when it began, and can be read."""
        return self._live.is_set()

    async def until_live(self) -> None:
        """Wait until it is; without end while Kafka does not answer."""
        await self._live.wait()

    @property
    def beginnings(self) -> dict[int, int]:
        """The first offset that transaction_status still has, per partition."""
        return _of_status(self._beginnings)

    async def has_read_all(self, topic: str) -> bool:
        """Whether nothing of the topic is in the log now that the listeners have not got; False without Kafka."""
        consumer = self._consumer
        if consumer is None or not self.is_live:
            return False
        partitions = [tp for tp in consumer.assignment() if tp.topic == topic]
        try:
            with log_unavailable(f"{topic} could not be read to its end"):
                async with asyncio.timeout(CALL):
                    ends = await consumer.end_offsets(partitions)
                    read = all([await consumer.position(tp) >= ends[tp] for tp in partitions])
                    # What is before a position may be in hand still: the listeners have it when the pass is over.
                    await self._passed.wait()
                    return read and self._consumer is consumer
        except LogUnavailable:
            return False

    async def run(self) -> None:
        """Read while it is in use, until cancelled."""
        waits = pauses(PAUSE, PAUSE_MOST)
        while True:
            await self._wanted.wait()
            try:
                with log_unavailable("the live feed cannot read the log"):
                    await self._read()
                waits = pauses(PAUSE, PAUSE_MOST)
            except Transient as exc:
                log.debug("%s", exc)  # app.health.dependency_monitor says that Kafka does not answer
                await asyncio.sleep(next(waits))

    async def _read(self) -> None:
        if not self._resources.is_open:
            raise LogUnavailable("the log has not been reached since the start")
        consumer = LogConsumer(
            **connections.kafka(self._resources.settings),
            enable_auto_commit=False,
            isolation_level="read_committed",
            metadata_max_age_ms=METADATA_MAX_AGE,
        )
        try:
            await consumer.start()
            partitions = await self._assign(consumer)
            self._consumer = consumer
            await self._follow(consumer, partitions)
        finally:
            self._live.clear()
            self._consumer = None
            await consumer.stop()

    async def _assign(self, consumer: Any) -> list[TopicPartition]:
        """Continue where it stopped; at a start, a little before the ends."""
        async with asyncio.timeout(CALL):
            async with topics.admin_client(self._resources.settings) as admin:
                partitions = [tp for topic in FOLLOWED for tp in await topics.partitions(admin, topic)]
            self._beginnings = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            since = int((time.time() - BACKLOG_SECONDS) * 1000)
            lately = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
        consumer.assign(partitions)
        for tp in partitions:
            first = lately[tp].offset if lately.get(tp) else ends[tp]
            self._next[tp] = max(self._start(tp, first, ends[tp]), self._beginnings[tp])
            consumer.seek(tp, self._next[tp])
        # An id may name partitions that there are not: of another log, or made up.
        self._next = {tp: self._next[tp] for tp in partitions}
        if not self._ends_at_start:
            for listener in self._listeners:
                listener.begin(_of_status(self._next))
        self._ends_at_start = ends
        return partitions

    def _start(self, tp: TopicPartition, first: int, end: int) -> int:
        if self._ends_at_start:
            continues_at = self._next[tp] if tp in self._ends_at_start else 0  # a partition that was added
            if continues_at <= end:
                return continues_at
        return max(min(self._next.get(tp, end), first, end - BACKLOG), end - BACKLOG_MOST)

    async def _follow(self, consumer: Any, partitions: Sequence[TopicPartition]) -> None:
        fetching = Fetching(consumer)
        while not self._is_idle():
            found, unreadable = await fetching.records(partitions, FETCH, AT_ONCE)
            for tp, where in unreadable.items():
                await fetching.leave_out(tp, where)  # the agents report it
            written = await self._written(found)
            self._next |= {tp: records[-1].offset + 1 for tp, records in found.items() if records}
            for listener in self._listeners:
                listener.take(written)
            self._passed.set()
            self._passed.clear()
            if not self.is_live and await self._is_at_ends(consumer):
                self._live.set()
                for listener in self._listeners:
                    listener.went_live()
            if any(
                len(consumer.partitions_for_topic(topic) or ()) > sum(tp.topic == topic for tp in partitions)
                for topic in FOLLOWED
            ):
                return  # partitions were added: begin again with them
        self._wanted.clear()
        self._next, self._ends_at_start = {}, {}

    def _is_idle(self) -> bool:
        return not self._users and time.monotonic() - self._idle_since > IDLE

    async def _is_at_ends(self, consumer: Any) -> bool:
        return all([await consumer.position(tp) >= end for tp, end in self._ends_at_start.items()])

    async def _written(self, found: Mapping[TopicPartition, Sequence[Any]]) -> Written:
        written = Written()
        for tp, records in found.items():
            if tp.topic == topics.CREATED:
                written.created += await _logged(records, self._resources.created)
            elif tp.topic == topics.STATUS:
                written.statuses += await _logged(records, self._resources.status_without_history)
            else:
                written.dead_letters += records
        return written


def _of_status(offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
    return {tp.partition: offset for tp, offset in offsets.items() if tp.topic == topics.STATUS}


async def _logged(records: Sequence[Any], codec: Any) -> list[Logged[Any]]:
    values = await codec.decode([record.value for record in records])
    return [
        Logged(record.partition, record.offset, record.timestamp, value)
        for record, value in zip(records, values, strict=True)
        if not isinstance(value, Poison)
    ]
