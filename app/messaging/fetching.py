"""What a consumer has fetched, one partition at a time: a batch that cannot be read stops its own partition alone.

aiokafka reads all partitions in one loop, and an exception in it (a bad CRC, an unknown codec) throws away what it had
already taken of the others, whose positions have moved on. And what the broker itself cannot read it asks for again and
again, without a pause. This file leans on aiokafka 0.14, pinned.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord, TopicPartition

from app.messaging.raw_batch import REFUSALS, fetch_batch, lenient_records, unread

#: Seconds that a broker has to give a batch once more.
ANSWERS_WITHIN = 5.0
#: Seconds without an answer. Kafka gives one each half second (fetch_max_wait_ms) where nothing is new.
SILENT_AFTER = 2.0
#: Seconds between two looks for what is silent, while nothing comes.
LOOK_EVERY = 0.5


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Where a partition cannot be read on, and why."""

    offset: int
    reason: str


class _Question(NamedTuple):
    """What Kafka was asked about a silent partition, in which assignment, and its answer: see `_refusal`."""

    tp: TopicPartition
    state: Any
    offset: int
    answer: asyncio.Task[str | None]


Fetched = tuple[dict[TopicPartition, list[ConsumerRecord]], dict[TopicPartition, Unreadable]]


class Fetching:
    """Reads a consumer's partitions; a failure is one partition's, at its exact offset."""

    def __init__(self, consumer: AIOKafkaConsumer):
        """`consumer` must have been started by the first call."""
        self._consumer = consumer
        # Read record by record after a failure, so that what is before it is delivered and its offset is known.
        self._careful: set[TopicPartition] = set()
        # Of these, what is in hand has been fetched since the last failure.
        self._fresh: set[TopicPartition] = set()
        self._begun_in: Any = None  # the assignment of the call to `records` that is under way
        # When Kafka last answered for a partition, by aiokafka's own time stamp, and when that was seen here.
        self._answers: dict[TopicPartition, tuple[int | None, float]] = {}
        # What Kafka refuses to read on: no fetch asks for it until Kafka gives it to us.
        self._refused: set[TopicPartition] = set()
        self._question: _Question | None = None

    @property
    def _fetcher(self) -> Any:
        return self._consumer._fetcher

    @property
    def _subscriptions(self) -> Any:
        return self._consumer._subscription

    @property
    def _assignment(self) -> Any:
        return self._subscriptions.subscription.assignment

    async def records(self, partitions: Collection[Any], timeout: float, most: int) -> Fetched:
        """At most `most` records within `timeout` seconds, by partition; and the partitions that cannot go on.

        An unreadable partition keeps its position: asked again, it is fetched again. One that Kafka had refused and
        gives again has no records at first.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while True:
            if self._subscriptions.reassignment_in_progress:
                await self._subscriptions.wait_for_assignment()
            self._begun_in = self._assignment
            found, unreadable = await self._ready(partitions, most)
            if self._assignment is not self._begun_in:
                return {}, {}  # of an assignment that is over: the new one begins where the group had come to
            given_again, refused = self._answered(partitions)
            found, unreadable = given_again | found, unreadable | refused
            left = until - loop.time()
            if found or unreadable or left <= 0 or self._fetcher._closed:
                return found, unreadable
            await self._news(min(left, LOOK_EVERY))

    async def leave_out(self, tp: TopicPartition, where: Unreadable) -> None:
        """Go on behind the batch that cannot be read; KafkaError."""
        _, after = await unread(self._consumer, tp, where.offset)
        self._consumer.seek(tp, after)

    async def _news(self, within: float) -> None:
        waiter = self._fetcher._create_fetch_waiter()
        asked = [self._question.answer] if self._question else []
        try:
            await asyncio.wait([waiter, *asked], timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if waiter.done():
                waiter.result()  # raises what the group's coordinator refused
        finally:
            waiter.cancel()

    def _answered(self, partitions: Collection[Any]) -> Fetched:
        """What Kafka says of a partition that was silent; one is asked for at a time, beside the others' reading."""
        if self._question is None:
            self._ask(partitions)
            return {}, {}
        if not self._question.answer.done():
            return {}, {}
        (tp, state, offset, answer), self._question = self._question, None
        if (
            self._state(tp) is not state
            or self.position(tp) != offset
            or (refusal := answer.result()) is None
        ):
            return {}, {}  # of an assignment that is over, or passed over meanwhile; or Kafka is down
        if refusal:
            self._refused.add(tp)
            state.pause()
            return {}, {tp: Unreadable(offset, refusal)}
        if tp not in self._refused:
            return {}, {}
        self._refused.remove(tp)
        state.resume()
        return {tp: []}, {}

    def _ask(self, partitions: Collection[Any]) -> None:
        now = asyncio.get_running_loop().time()
        if silent := [tp for tp in partitions if self._is_silent(tp, now)]:
            tp = min(silent, key=lambda one: self._answers[one][1])
            state = self._state(tp)
            self._answers[tp] = state.timestamp, now
            answer = asyncio.create_task(self._refusal(tp, state.position))
            self._question = _Question(tp, state, state.position, answer)

    async def _refusal(self, tp: TopicPartition, offset: int) -> str | None:
        """Why Kafka does not read on there; empty if it does, None if nobody says."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                await fetch_batch(self._consumer, tp, offset)
        except REFUSALS as exc:
            self._consumer._client.force_metadata_update()  # another replica may lead by now
            return f"Kafka cannot read it ({exc.message})"
        except (KafkaError, TimeoutError):
            return None  # it is down, or the partition is elsewhere: no matter of this partition alone
        return ""

    def _is_silent(self, tp: TopicPartition, now: float) -> bool:
        state = self._state(tp)
        if state is None or not state.has_valid_position:
            return False
        if not state.paused:
            self._refused.discard(tp)  # of an assignment that is over
        elif tp in self._refused:
            return True
        answered, since = self._answers.get(tp, (None, now))
        is_waiting = not state.paused and tp not in self._fetcher._records and answered == state.timestamp
        self._answers[tp] = state.timestamp, since if is_waiting else now
        return is_waiting and now - since >= SILENT_AFTER

    async def _ready(self, partitions: Collection[Any], most: int) -> Fetched:
        found: dict[TopicPartition, list[ConsumerRecord]] = {}
        unreadable: dict[TopicPartition, Unreadable] = {}
        for tp in [tp for tp in self._fetcher._records if tp in partitions]:
            if most <= 0:
                break
            read = await (self._one_by_one if tp in self._careful else self._at_once)(tp, most)
            if isinstance(read, Unreadable):
                unreadable[tp] = read
            elif read:
                found[tp] = read
                most -= len(read)
        return found, unreadable

    async def _at_once(self, tp: TopicPartition, most: int) -> list[ConsumerRecord]:
        before = self.position(tp)
        try:
            records = (await self._fetcher.fetched_records([tp], 0, most)).get(tp, [])
            self._check_place(tp, before, records, 1)
        except Exception:  # noqa: BLE001  # whatever the bytes make aiokafka raise: the next look reports it
            self._careful.add(tp)
            self._seek(tp, before)
            return []
        return records  # type: ignore[no-any-return]

    async def _one_by_one(self, tp: TopicPartition, most: int) -> list[ConsumerRecord] | Unreadable:
        records: list[ConsumerRecord] = []
        while len(records) < most:
            before = self.position(tp)
            try:
                one = (await self._fetcher.fetched_records([tp], 0, 1)).get(tp, [])
                self._check_place(tp, before, one or records, tp in self._fresh)
            except Exception as exc:  # noqa: BLE001  # whatever the bytes make aiokafka raise
                self._seek(tp, before)
                if records or before is None:
                    return records
                return await self._at(tp, before, exc, most)
            if not one:
                self._careful.discard(tp)  # to the end of what was fetched
                break
            self._fresh.discard(tp)
            records += one
        return records

    async def _at(
        self, tp: TopicPartition, offset: int, exc: Exception, most: int
    ) -> list[ConsumerRecord] | Unreadable:
        """What is at the offset that aiokafka cannot read: other producers' header names may be any bytes."""
        if isinstance(exc, UnicodeDecodeError):
            try:
                async with asyncio.timeout(ANSWERS_WITHIN):  # no other partition is read meanwhile
                    batch = await fetch_batch(self._consumer, tp, offset)
                records, after = lenient_records(batch, tp, offset)
                self._seek(tp, records[most].offset if len(records) > most else after)
                self._check_place(tp, offset, records[:most], 1)
            except Exception as again:  # noqa: BLE001
                self._seek(tp, offset)
                exc = again
            else:
                return records[:most]
        return Unreadable(offset, f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__)

    def _state(self, tp: TopicPartition) -> Any:
        is_ours = self._subscriptions.is_assigned(tp)
        return self._subscriptions.subscription.assignment.state_value(tp) if is_ours else None

    def position(self, tp: TopicPartition) -> int | None:
        """Where the next fetch of a partition begins, if that is known."""
        state = self._state(tp)
        return state.position if state and state.has_valid_position else None

    def _check_place(
        self, tp: TopicPartition, before: int | None, records: Sequence[ConsumerRecord], least: int
    ) -> None:
        """ValueError where the position does not follow on what was read, or on `before` by at least `least`.

        Not all of a batch's header is covered by its CRC: a damaged one would skip records or repeat them for ever.
        """
        now, state = self.position(tp), self._state(tp)
        if before is None or now is None or state.highwater is None:
            return
        first = records[-1].offset + 1 if records else before + least
        if not first <= now <= state.highwater:
            raise ValueError(f"its header leads to offset {now}")

    def _seek(self, tp: TopicPartition, offset: int | None) -> None:
        """In the assignment in which it was read; another one has its own places."""
        is_over = self._assignment is not self._begun_in
        if offset is not None and not is_over and self._subscriptions.is_assigned(tp):
            self._fetcher.seek_to(tp, offset)
            self._fresh.add(tp)
