"""How batches reach an agent: what Faust fetched of a partition is one event, and we report its progress.

Faust hands an agent one record at a time, at 60-75 microseconds each, and commits from a list of acks that can pass an
unfinished record (docs/decisions/0002). Here one event carries the list of records that one fetch brought of one
partition, and the committed offset follows `mark_processed` alone, which the batch processor calls in order. Agents,
rebalancing, fetching and commits stay Faust's; this file leans on faust-streaming 0.15.3, pinned.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from typing import Any

import faust
from aiokafka.errors import ConsumerStoppedError, KafkaError
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from app.messaging.assignor import KeepingAssignor
from app.messaging.fetching import Fetching
from app.messaging.holds import Holds
from app.messaging.kafka_errors import log_unavailable
from app.messaging.offset_commits import OffsetCommits

#: Seconds, far below broker_max_poll_interval (1,000).
SHOWS_WORK_EVERY = 5.0
#: Of a consumer that its group does not count in.
NO_GENERATION = -1
#: Seconds that Kafka has to say where the group goes on; and where an assignment begins; there Faust itself would give
#: up after 90 s (broker_request_timeout).
ANSWERS_WITHIN, SEEKS_WITHIN = 10.0, 60.0


class BatchConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's consumer thread, reading what is committed.

    A commit that fails is tried again at the next interval, and a batch that cannot be read holds its partition,
    instead of ending the worker.
    """

    consumer: BatchConsumer

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        self._fetching = Fetching(consumer)
        consumer._isolation_level = (
            "read_committed"  # Faust sets it for exactly_once only, aiokafka reads it at start
        )
        assignor = KeepingAssignor(lambda: consumer._coordinator.generation != NO_GENERATION)
        consumer._partition_assignment_strategy = [assignor]  # Faust has no setting for it
        return consumer

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: set[TP],
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        if not self.consumer.flow_active:
            return {}
        if consumer._closed or consumer._fetcher._closed:
            raise ConsumerStoppedError
        holds = self.consumer.holds
        with consumer._fetcher._subscriptions.fetch_context():
            found, unreadable = await self._fetching.records(
                holds.to_read(active_partitions), timeout or 0, max_records or sys.maxsize
            )
        holds.note(found, unreadable)
        return found

    async def show_work(self) -> None:
        """As a fetch does: the group's clock for a consumer that does nothing (max.poll.interval) starts anew.

        What Kafka has refused it is logged and tried again: aiokafka waits until somebody has taken the error.
        """
        await self.call_thread(self._show_work)

    async def _show_work(self) -> None:
        consumer = self._ensure_consumer()
        with consumer._subscription.fetch_context():
            pass
        try:
            consumer._coordinator.check_errors()
        except KafkaError as exc:
            self.log.error("Kafka refuses this worker in its group, it is tried again: %r", exc)

    async def join_anew(self) -> None:
        """Leave the assignment for another one."""
        await self.call_thread(self._join_anew)

    async def _join_anew(self) -> None:
        self._ensure_consumer()._coordinator.request_rejoin()

    async def committed(self, tp: TP) -> int | None:
        """Kafka's answer; asked in the thread that has the connection."""
        asked = driver.ensure_aiokafka_TP(tp)
        offset: int | None = await self.call_thread(self._ensure_consumer().committed, asked)
        return offset

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """To where the group goes on, which is the beginning of a partition of which nothing was committed.

        aiokafka leaves such a one where it is: what a rebalance has dropped of it would be passed over, and the next
        commit would be behind it.
        """
        offsets: Mapping[TP, int] = await self.call_thread(self._seek_to_committed)
        return offsets

    async def _seek_to_committed(self) -> Mapping[Any, int | None]:
        consumer = self._ensure_consumer()
        offsets: Mapping[Any, int | None] = await consumer.seek_to_committed()
        for tp, offset in offsets.items():
            if not offset:
                consumer.seek(tp, 0)  # where that is not kept any more: to the oldest that is
        return offsets

    async def go_on_at(self, tp: TP, offset: int) -> None:
        """Seek in the thread that fetches; KafkaError when the partition has gone."""
        await self.call_thread(self._seek_to, tp, offset)

    async def _seek_to(self, tp: TP, offset: int) -> None:
        self._ensure_consumer().seek(driver.ensure_aiokafka_TP(tp), offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        assigned = self.assignment()
        ours = {driver.ensure_aiokafka_TP(tp): o for tp, o in offsets.items() if tp in assigned}
        if not ours:
            return False
        try:
            await consumer.commit(ours)
        except KafkaError as exc:
            self.log.warning("Offsets were not committed, tried again at the next interval: %r", exc)
            return False
        return True


class BatchConsumer(driver.Consumer):
    """A Faust consumer whose messages are batches: value = records of one fetch, offset = the last one's."""

    def __init__(self, *args: Any, **options: Any):
        """See Faust's."""
        super().__init__(*args, **options)
        self._read_offset = _NothingRead()
        self._is_between_assignments = False

    def on_init(self) -> None:
        """Nothing is finished yet."""
        self.holds = Holds()
        self._commits = OffsetCommits()

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: app.health.watchdog looks for what hangs.

        Faust asks its monitor whether a stream has had events, which counts none here (see app.bootstrap): after five
        minutes it would say each second, while records come, that the agents hang.
        """

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        """One message for each partition that the fetch brought records of."""
        records, active = await self._wait_next_records(timeout)
        generation = self.app.consumer_generation_id
        if not records or self.should_stop:
            return
        if not self.flow_active:
            await self._seek_again()
            return
        for tp, batch in records.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return  # a rebalance has begun; it seeks to the committed offsets
            if active is not None and tp not in active and tp not in self._buffered_partitions:
                await self._seek_again()  # paused meanwhile
                return
            if batch:
                self._commits.handed_out(tp, batch)
                yield tp, _message(tp, batch, generation)

    def resume_flow(self) -> None:
        """Let records come, but for those of an assignment that is over: its recovery may end behind the revocation."""
        if not self._is_between_assignments:
            super().resume_flow()

    async def perform_seek(self) -> None:
        """To where the group goes on; where Kafka does not say it in time, the group is joined anew instead.

        Faust's recovery would give up at its own time-out, and nothing would flow again.
        """
        try:
            async with asyncio.timeout(SEEKS_WITHIN):
                await super().perform_seek()
        except TimeoutError:
            self.log.warning(
                "Kafka has not said within %g s where to go on: joining the group anew", SEEKS_WITHIN
            )
            self._is_between_assignments = True
            await self._thread.join_anew()

    async def _seek_again(self) -> None:
        """What was fetched is dropped: fetch it again."""
        try:
            await self.perform_seek()
        except Exception as exc:  # noqa: BLE001  # the partitions change meanwhile; Faust seeks again behind that
            self.log.warning("Could not seek during a rebalance: %r", exc)

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between two messages are inside batches here, not gaps."""

    def mark_processed(self, topic: str, partition: int, next_offset: int) -> None:
        """Everything of the partition before `next_offset` is done for good; called in order."""
        self._commits.mark_processed(TP(topic, partition), next_offset)

    async def committed(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        """The offsets at which the group goes on, 0 where it has not committed any; LogUnavailable."""
        with log_unavailable("the group's offsets could not be read"):
            async with asyncio.timeout(ANSWERS_WITHIN):
                return {one: await self._thread.committed(TP(topic, one)) or 0 for one in partitions}

    async def stay_in_the_group(self) -> None:
        """Until cancelled: while a store is down batches are held, nothing is fetched, and we are at work all the same.

        Called from the loop that works: where that one hangs, the group takes the partitions away after a while.
        """
        while True:
            await asyncio.sleep(SHOWS_WORK_EVERY)
            if self._coordinator:
                await self._thread.show_work()

    async def pass_over(self, tp: TP, offset: int) -> bool:
        """Go on at `offset` where a batch cannot be read; False while records before it are in hand."""
        if self._commits.oldest_in_hand(tp) is not None:
            return False
        try:
            await self._thread.go_on_at(tp, offset)
        except KafkaError:
            return False  # another worker has it by now
        self.mark_processed(tp.topic, tp.partition, offset)
        self.holds.release(tp)
        return True

    def progress(self) -> Iterator[tuple[TP, int, float | None]]:
        """Each assigned partition's records that are not finished, and when the oldest in hand was written.

        From what the last fetch brought: nobody is asked. A partition that no fetch has brought yet is left out.
        """
        for tp, state in self._states():
            if state is None or state.highwater is None or not state.has_valid_position:
                continue
            yield tp, max(0, state.highwater - self._done(tp, state)), self._commits.oldest_in_hand(tp)

    def _done(self, tp: TP, state: Any) -> int:
        """Up to where all is done. With nothing in hand it is to the position: past marks that end transactions too."""
        if self._commits.oldest_in_hand(tp) is None:
            return int(state.position)
        return self._commits.processed_to(tp, self._committed_offset[tp])

    def is_behind(self, topic: str) -> bool:
        """Whether a fetch should bring records of the topic.

        None can bring what an open transaction hides, or what is behind a batch that nobody can read.
        """
        return any(
            self._done(tp, state) < state.lso
            for tp, state in self._fetched()
            if tp.topic == topic and tp not in self.holds
        )

    def waiting(self) -> Iterator[tuple[TP, int]]:
        """The partitions that are read up to an open transaction, and the offset where it begins."""
        for tp, state in self._fetched():
            if state.lso <= state.position < state.highwater:
                yield tp, state.lso

    def _fetched(self) -> Iterator[tuple[TP, Any]]:
        """The assigned partitions whose last stable offset a fetch has brought."""
        return (
            (tp, state)
            for tp, state in self._states()
            if state and state.has_valid_position and state.lso is not None
        )

    @property
    def member_id(self) -> str | None:
        """Under which the group's coordinator knows this worker; None before it has joined."""
        return getattr(self._coordinator, "member_id", None) or None

    @property
    def _coordinator(self) -> Any:
        """aiokafka's side of the group, in which it is or tries to be; None before its start."""
        return self._thread._consumer and self._thread._consumer._coordinator

    def is_whole(self, topic: str) -> bool:
        """Whether all partitions of a topic are assigned: nobody else is in the group."""
        known = self._thread._ensure_consumer().partitions_for_topic(topic) or ()
        return len(known) == len([tp for tp in self.assignment() if tp.topic == topic])

    def length(self, topic: str) -> int | None:
        """How many offsets the assigned partitions of a topic have had; None before a fetch has shown it."""
        ends = [state and state.highwater for tp, state in self._states() if tp.topic == topic]
        return None if not ends or None in ends else sum(ends)

    def _states(self) -> Iterator[tuple[TP, Any]]:
        assignment = self._thread._ensure_consumer()._subscription.subscription.assignment
        return ((tp, assignment.state_value(tp)) for tp in self.assignment())

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit what is finished and not yet committed. Faust's acks do not count here."""
        offsets = self._commits.due(self._committed_offset)
        if not offsets or not await self._commit(offsets):
            return False
        self._committed_offset.update(offsets)
        self.app.monitor.on_tp_commit(offsets)
        return True

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Let the batch processor end what it holds of them, commit, and forget them.

        Nothing flows from here to the end of the next assignment's recovery. Faust stops only workers with partitions:
        another one would be given its first records while their place is still sought, and lose them.
        """
        self._is_between_assignments = True
        self.stop_flow()
        self.app.flow_control.suspend()
        await super().on_partitions_revoked(revoked)
        for tp in revoked:
            self._commits.forget(tp)
            self.holds.release(tp)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """The recovery that begins here lets them flow."""
        self._is_between_assignments = False
        await super().on_partitions_assigned(assigned, generation_id)


class _NothingRead(dict[TP, int | None]):
    """What Faust remembers to have read, to drop silently what comes with a lower offset. Here it may come again.

    After a failover of Kafka a log may be shorter than what was committed, and new records have offsets that were read.
    """

    def __getitem__(self, _: TP) -> None:
        return None


class BatchTransport(driver.Transport):
    """Faust's aiokafka transport with our consumer."""

    Consumer = BatchConsumer


class BatchSchema(faust.Schema):
    """Passes a batch through as it is: records are decoded by our codec, a batch at a time, with poison marked."""

    def compile(self, app: Any, **_: Any) -> Any:
        """The function that makes an event of a message."""

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return app.create_event(None, message.value, message.headers, message)

        return decode


def _message(tp: TP, batch: list[Any], generation: int) -> ConsumerMessage:
    last = batch[-1]
    return ConsumerMessage(
        tp.topic,
        tp.partition,
        last.offset,
        (last.timestamp or 0) / 1000,
        last.timestamp_type,
        (),
        None,
        batch,
        None,
        0,
        sum(record.serialized_value_size for record in batch),
        tp,
        generation_id=generation,
    )
