"""Out of the log: a partition read backward from its end, or at given offsets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from app import connections
from app.errors import LogUnavailable
from app.messaging.fetching import Fetching
from app.messaging.kafka_errors import log_unavailable
from app.messaging.log_consumer import LogConsumer
from app.settings import Settings

log = logging.getLogger(__name__)

#: Records of a step back: a few first, since that is mostly enough; never more than fit in memory at once.
FIRST_STEP, STEP_MOST = 500, 10_000
#: Records of a step on: other work waits while they are decoded.
ON_STEP = 2_000
#: Records that are looked through for one that was sent at about a time.
SEARCH_MOST = 10_000
#: Seconds without a record; a long way back may take longer.
TIMEOUT = 30.0
#: Seconds that a look's consumer is kept for the next one. A claim has several looks at each partition.
KEPT = 5.0
#: Milliseconds that Kafka may wait for news. A look wants what is there, and behind a fetch that waits the next look's
#: questions wait too.
WAIT_MS = 20
#: Seconds without a record until the position is looked at: what was aborted moves it unseen, and so does a marker.
#: Each claim leaves both at the end of its partition.
UNSEEN = 0.02
#: Offsets between two that are asked for: to read so many records takes no longer than to begin at another place.
GAP_MOST = 1000
#: Offsets behind the last record of a partition that may be marks of transactions alone.
MARKS_MOST = 500

#: Takes the records of one step, oldest first; True when it needs no older ones.
Take = Callable[[Sequence[ConsumerRecord]], Awaitable[bool]]

#: Takes the records of one step, oldest first.
TakeOn = Callable[[Sequence[ConsumerRecord]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Back:
    """What was read back of a partition: the offsets from `start` to before `end`; `whole`: there is nothing older."""

    start: int
    end: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Look:
    """A consumer at one partition, and where that begins and ends."""

    beginning: int
    end: int
    consumer: LogConsumer
    #: The records from an offset on to before another.
    read: Callable[[int, int], Awaitable[list[ConsumerRecord]]]


class TailReader:
    """Reads with consumers of no group, one for each look; the next looks have it too, if they come soon."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._kept: dict[LogConsumer, asyncio.Task[None]] = {}  # what no look has, and what will stop it

    async def read_back(self, topic: str, partition: int, take: Take, since: int = 0) -> Back:
        """Hand the partition's newest records to `take`, step by step back to `since`, the beginning, or its word.

        LogUnavailable. An offset `since` that the partition has not reached counts as 0: it was made anew.
        """
        tp = TopicPartition(topic, partition)
        async with self._look(tp) as look:
            stop = max(look.beginning, since if since <= look.end else 0)
            start, step = look.end, FIRST_STEP
            while start > stop:
                upto, start, step = start, max(stop, start - step), min(step * 4, STEP_MOST)
                if await take(await look.read(start, upto)):
                    break
            return Back(start, look.end, whole=start == 0)

    async def read_on(
        self, topic: str, partition: int, since: int, take: TakeOn, *, most: int | None = None
    ) -> int:
        """Hand the partition's records from offset `since` on to `take`, step by step to its end; gives the end.

        `most`: so many offsets, if there are more. LogUnavailable.
        """
        async with self._look(TopicPartition(topic, partition)) as look:
            start = max(look.beginning, since)
            end = look.end if most is None else min(look.end, start + most)
            while start < end:
                records = await look.read(start, min(end, start + ON_STEP))
                if records:
                    await take(records)
                start = min(end, start + ON_STEP)
            return end

    async def first_since(
        self, topic: str, partition: int, millis: int, is_wanted: Callable[[ConsumerRecord], bool]
    ) -> ConsumerRecord | None:
        """The first such record that was sent at or after this time, among the next SEARCH_MOST; LogUnavailable."""
        tp = TopicPartition(topic, partition)
        async with self._look(tp) as look:
            at = (await look.consumer.offsets_for_times({tp: millis}))[tp]
            start = at.offset if at else look.end
            last = min(look.end, start + SEARCH_MOST)
            for first in range(start, last, FIRST_STEP):
                records = await look.read(first, min(first + FIRST_STEP, last))
                if found := next(filter(is_wanted, records), None):
                    return found
            return None

    async def first_from(self, topic: str, partition: int, offset: int) -> ConsumerRecord | None:
        """The first record from an offset on, among the next MARKS_MOST; None at the end.

        LogUnavailable, also where an open transaction hides what is there.
        """
        tp = TopicPartition(topic, partition)
        async with self._look(tp) as look:
            start, stable = max(look.beginning, offset), (await look.consumer.end_offsets([tp]))[tp]
            last = min(stable, start + MARKS_MOST)
            if start < last and (records := await look.read(start, last)):
                return records[0]
            if last < look.end:
                raise LogUnavailable(f"{topic}[{partition}] from {start} on cannot be read yet")
            return None

    async def has_none(self, topic: str, partition: int, start: int, end: int) -> bool:
        """Whether what is between two offsets is but marks of transactions; False, unread, where that is much."""
        return end - start <= MARKS_MOST and not await self.at(topic, partition, range(start, end))

    async def at(self, topic: str, partition: int, offsets: Iterable[int]) -> dict[int, ConsumerRecord]:
        """The records at these offsets, as far as they are there; LogUnavailable."""
        wanted = set(offsets)
        tp = TopicPartition(topic, partition)
        found: dict[int, ConsumerRecord] = {}
        async with self._look(tp) as look:
            there = sorted(offset for offset in wanted if look.beginning <= offset < look.end)
            for start, upto in runs(there):
                records = await look.read(start, upto)
                found |= {record.offset: record for record in records if record.offset in wanted}
        return found

    async def newest(
        self,
        topic: str,
        partition: int,
        most: int,
        at_once: int,
        take: Callable[[Sequence[ConsumerRecord]], None],
    ) -> None:
        """Hand the records of the partition's last `most` offsets to `take`, oldest first; LogUnavailable.

        No more than `at_once` are in memory.
        """
        async with self._look(TopicPartition(topic, partition)) as look:
            for start in range(max(look.beginning, look.end - most), look.end, at_once):
                take(await look.read(start, min(look.end, start + at_once)))

    @asynccontextmanager
    async def _look(self, tp: TopicPartition) -> AsyncIterator[Look]:
        """Where the partition begins and ends, and what reads from one offset to before another; LogUnavailable."""
        with log_unavailable(f"{tp.topic}[{tp.partition}] could not be read back"):
            consumer, is_started = self._one_at_hand()
            try:
                async with asyncio.timeout(TIMEOUT) as patience:
                    if not is_started:
                        await consumer.start()
                    await consumer.know(tp.topic)
                    beginning = (await consumer.beginning_offsets([tp]))[tp]
                    end = await consumer.high_watermark(tp)
                    consumer.assign([tp])  # not before: it would begin to wait for news at the end
                    read = partial(_read, consumer, Fetching(consumer), tp, patience=patience)
                    yield Look(beginning, end, consumer, read)
            except BaseException:
                await consumer.stop()
                raise
            consumer.pause(tp)
            self._kept[consumer] = asyncio.create_task(self._stop_after_a_while(consumer))

    def _one_at_hand(self) -> tuple[LogConsumer, bool]:
        """A consumer for one look, and whether it is started already."""
        for consumer in list(self._kept):
            if consumer.is_connected:
                self._kept.pop(consumer).cancel()
                return consumer, True
        return LogConsumer(
            **connections.kafka(self._settings),
            enable_auto_commit=False,
            isolation_level="read_committed",
            fetch_max_wait_ms=WAIT_MS,
        ), False

    async def _stop_after_a_while(self, consumer: LogConsumer) -> None:
        try:
            await asyncio.sleep(KEPT)
        finally:
            if self._kept.pop(consumer, None):  # no look has taken it
                await consumer.stop()

    async def close(self) -> None:
        """Disconnect."""
        kept, self._kept = self._kept, {}
        for task in kept.values():
            task.cancel()
        await asyncio.gather(*(consumer.stop() for consumer in kept))


def runs(offsets: Sequence[int]) -> list[tuple[int, int]]:
    """Sorted offsets as ranges (first, behind the last) that are read at once."""
    found: list[tuple[int, int]] = []
    for offset in offsets:
        if found and offset - found[-1][1] < GAP_MOST and offset - found[-1][0] < STEP_MOST:
            found[-1] = found[-1][0], offset + 1
        else:
            found.append((offset, offset + 1))
    return found


async def high_watermarks(settings: Settings, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    """Where the partitions end, what is not committed yet included: see LogConsumer.high_watermark."""
    consumer = LogConsumer(**connections.kafka(settings), enable_auto_commit=False)
    try:
        await consumer.start()
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        return ends
    finally:
        await consumer.stop()


async def _read(
    consumer: LogConsumer,
    fetching: Fetching,
    tp: TopicPartition,
    start: int,
    end: int,
    patience: asyncio.Timeout,
) -> list[ConsumerRecord]:
    if fetching.position(tp) != start:  # a seek drops what was fetched ahead
        consumer.seek(tp, start)
    records: list[ConsumerRecord] = []
    # The position, not the last record's offset: the log may hold markers that are no records.
    while await consumer.position(tp) < end:
        fetched, unreadable = await fetching.records(
            [tp], UNSEEN, min(STEP_MOST, max(1, end - start - len(records)))
        )
        records += [record for record in fetched.get(tp, []) if record.offset < end]
        for where in unreadable.values():
            # To wait for it would stop whoever asks, and the records in it are lost to every reader alike.
            log.error(
                "%s[%d]@%d cannot be read and is left out: %s",
                tp.topic, tp.partition, where.offset, where.reason,
            )  # fmt: skip
            await fetching.leave_out(tp, where)
        if fetched:
            patience.reschedule(asyncio.get_running_loop().time() + TIMEOUT)
    return records
