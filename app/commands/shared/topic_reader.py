"""A topic read from its beginning, or over a span, to where it ends now."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import ConsumerRecord

from app import connections
from app.commands.shared.read_range import WHOLE, Places, ReadRange
from app.errors import Poison
from app.messaging import topics
from app.messaging.dead_letters import Source, place_of
from app.messaging.fenced_writer import ANSWERS_WITHIN_MS
from app.messaging.fetching import Fetching, Unreadable
from app.messaging.log_consumer import LogConsumer
from app.messaging.tail_reader import high_watermarks
from app.settings import Settings

#: Seconds without a record after which the reason for waiting is printed.
WORTH_A_LINE = 5.0
#: Records of a partition in memory at once, where they are merged by time.
AT_ONCE = 500

Offsets = dict[TopicPartition, int]


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[tuple[LogConsumer, AIOKafkaAdminClient]]:
    """A consumer of no group, reading what is committed, and an admin client; closed at the end."""
    consumer = LogConsumer(
        **connections.kafka(settings),
        enable_auto_commit=False,
        isolation_level="read_committed",
        request_timeout_ms=ANSWERS_WITHIN_MS,
    )
    try:
        await consumer.start()
        async with topics.admin_client(settings, ANSWERS_WITHIN_MS) as admin:
            yield consumer, admin
    finally:
        await consumer.stop()


async def partitions_of(settings: Settings, topic: str) -> list[TopicPartition]:
    """The topic's partitions, in order; none when it does not exist."""
    async with topics.admin_client(settings, ANSWERS_WITHIN_MS) as admin:
        return await topics.partitions(admin, topic)


class OffsetOutOfRange(Poison):
    """What is to be read from its beginning has been deleted in part; no retry helps."""


def chosen(found: list[TopicPartition], read_range: ReadRange) -> list[TopicPartition]:
    """The partitions that the span means; SystemExit where it names one that there is not."""
    wanted = {tp.partition for tp in found} if read_range.partitions is None else read_range.partitions
    if unknown := sorted(wanted - {tp.partition for tp in found}):
        raise SystemExit(f"{found[0].topic} has no partition {unknown[0]}: it has 0 to {len(found) - 1}")
    return [tp for tp in found if tp.partition in wanted]


def left_out(tp: TopicPartition, where: Unreadable) -> str:
    """What a command says of a batch that it cannot read."""
    return f"{place_of((*tp, where.offset))} cannot be read and is left out: {where.reason}"


async def by_time(settings: Settings, topic: str, *, follow: bool = False) -> AsyncIterator[ConsumerRecord]:
    """A topic's records to its present end, its partitions merged by time; with `follow` those that come after too.

    In memory are some records of each partition.
    """
    async with connected(settings) as (consumer, admin):
        partitions = await topics.partitions(admin, topic)
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        fetching, ends = Fetching(consumer), await consumer.end_offsets(partitions)
        next_ones: dict[TopicPartition, deque[ConsumerRecord]] = {tp: deque() for tp in ends}
        while True:
            for tp, end in ends.items():
                while not next_ones[tp] and await consumer.position(tp) < end:
                    next_ones[tp].extend(await _some(fetching, [tp]))
            oldest = min(
                (found[0] for found in next_ones.values() if found),
                key=lambda r: (r.timestamp, r.partition, r.offset),
                default=None,
            )
            if oldest is None:
                break
            yield next_ones[TopicPartition(oldest.topic, oldest.partition)].popleft()
        while follow:
            for record in await _some(fetching, partitions):
                yield record


async def _some(fetching: Fetching, partitions: Sequence[TopicPartition]) -> list[ConsumerRecord]:
    fetched, unreadable = await fetching.records(partitions, 0.5, AT_ONCE)
    for tp, where in unreadable.items():
        print(left_out(tp, where), file=sys.stderr)
        await fetching.leave_out(tp, where)
    return [record for found in fetched.values() for record in found]


class TopicReader:
    """A consumer of no group; `total` is how many offsets there are to read, `passed` how many of them were."""

    def __init__(self, settings: Settings, topic: str):
        self._settings, self._topic = settings, topic
        # What is not committed is waited for: behind it others may have committed what must not be missed.
        self._consumer = LogConsumer(
            **connections.kafka(settings),
            enable_auto_commit=False,
            isolation_level="read_committed",
            request_timeout_ms=ANSWERS_WITHIN_MS,
        )
        self._starts: Offsets = {}
        self._ends: Offsets = {}
        self.total = 0
        self.passed = 0
        #: Batches that nobody can read.
        self.left_out: list[Source] = []
        self._fetching = Fetching(self._consumer)
        self._news_at, self._has_said = time.monotonic(), False

    async def __aenter__(self) -> TopicReader:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def seek(self, read_range: ReadRange = WHOLE, past: Places | None = None) -> None:
        """To where the span begins, or on to `past`; fixes the end: the span's, or the present one."""
        written = await high_watermarks(
            self._settings, chosen(await partitions_of(self._settings, self._topic), read_range)
        )
        self._ends = await self._last(written, read_range)
        self._starts = await self._first(written, read_range, past or {})
        # Not sooner: what is assigned is fetched, and at its end a fetch keeps every other question waiting for 0.5 s.
        self._consumer.assign(list(self._starts))
        for tp, start in self._starts.items():
            self._consumer.seek(tp, start)
        self.total = sum(max(0, end - self._starts[tp]) for tp, end in self._ends.items())

    @property
    def starts(self) -> dict[int, int]:
        """Where each partition was begun."""
        return {tp.partition: start for tp, start in self._starts.items()}

    @property
    def ends(self) -> dict[int, int]:
        """Where each partition is at its end."""
        return {tp.partition: end for tp, end in self._ends.items()}

    async def chunks(self, most: int) -> AsyncIterator[list[Any]]:
        """The records, at most `most` at a time, each partition's in order."""
        while left := await self._left():
            fetched, unreadable = await self._fetching.records(left, 0.5, most)
            records = [r for tp, found in fetched.items() for r in found if r.offset < self._ends[tp]]
            for tp, where in unreadable.items():
                await self._leave_out(tp, where)
            if records:
                yield records
            await self._say_what_is_waited_for(left, is_news=bool(fetched or unreadable))
        self.passed = self.total

    async def _say_what_is_waited_for(self, left: list[TopicPartition], *, is_news: bool) -> None:
        now = time.monotonic()
        self._news_at = now if is_news else self._news_at
        if now - self._news_at >= WORTH_A_LINE and not self._has_said:
            self._has_said = True
            places = [f"{tp.topic}[{tp.partition}]@{await self._consumer.position(tp)}" for tp in left]
            print(
                f"waiting at {', '.join(places)}: a transaction of another producer is open there. Kafka ends it after "
                "that producer's transaction.timeout.ms (at most 15 minutes)",
                file=sys.stderr,
            )

    async def _leave_out(self, tp: TopicPartition, where: Unreadable) -> None:
        self.left_out.append((tp.topic, tp.partition, where.offset))
        print(f"{left_out(tp, where)}. See: make pass-over", file=sys.stderr)
        await self._fetching.leave_out(tp, where)

    async def _left(self) -> list[TopicPartition]:
        positions = {tp: await self._consumer.position(tp) for tp in self._ends}
        self.passed = sum(min(positions[tp], end) - self._starts[tp] for tp, end in self._ends.items())
        return [tp for tp, end in self._ends.items() if positions[tp] < end]

    async def _first(self, written: Offsets, read_range: ReadRange, past: Places) -> Offsets:
        asked = {tp: (read_range.first or {}).get(tp.partition, 0) for tp in written}
        if read_range.since is not None:
            asked = await self._at(written, read_range.since)
        starts = {tp: max(offset, past.get(tp.partition, 0)) for tp, offset in asked.items()}
        for tp, beginning in (await self._consumer.beginning_offsets(list(written))).items():
            # By time, what is at the beginning may follow on something that was wanted as well.
            if starts[tp] < beginning or (read_range.since is not None and starts[tp] == beginning > 0):
                raise OffsetOutOfRange(
                    f"{tp.topic}[{tp.partition}] begins at offset {beginning}: what was before is gone"
                )
        return starts

    async def _last(self, written: Offsets, read_range: ReadRange) -> Offsets:
        if read_range.until is not None:
            return await self._at(written, read_range.until)
        last = read_range.last or {}
        return {tp: min(end, last.get(tp.partition, end)) for tp, end in written.items()}

    async def _at(self, written: Offsets, moment: int) -> Offsets:
        found = await self._consumer.offsets_for_times(dict.fromkeys(written, moment))
        return {tp: found[tp].offset if found.get(tp) else end for tp, end in written.items()}
