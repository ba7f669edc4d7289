"""A partition has one writer: a claim shuts out the last one, and is claimed anew when that is no longer certain."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from app.errors import LogUnavailable
from app.messaging import fenced_producer, fenced_writer, last_stable_offset
from app.messaging.fenced_writer import FencedWriter, Outgoing
from app.messaging.last_stable_offset import LastStableOffset
from app.messaging.producer import Record
from app.messaging.status_log import StatusLog
from app.settings import Settings


class Partition:
    """One of Kafka's: how much is written, and how much of it can be read as last_stable_offset."""

    def __init__(self) -> None:
        self.written = self.readable = 0
        self.marks = True  # Kafka writes the markers that end transactions
        self.epoch = 1
        self.refuses: Exception | None = None
        self.did: list[str] = []


class Producer:
    """A transactional one."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition
        self._txn_manager = SimpleNamespace(producer_epoch=partition.epoch, transactional_id="id")

    async def start(self) -> None:
        self._partition.did.append("claimed")

    async def stop(self) -> None:
        self._partition.did.append("left")

    async def begin_transaction(self) -> None: ...

    def create_batch(self) -> Any:
        return SimpleNamespace(append=lambda **_: object(), close=lambda: None, record_count=lambda: 1)

    async def send_batch(self, _: Any, __: str, *, partition: int) -> Awaitable[Any]:
        if self._partition.refuses:
            raise self._partition.refuses
        offset = self._partition.written
        self._partition.written += 1
        if self._txn_manager.transactional_id is None:
            self._partition.readable = self._partition.written
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result(SimpleNamespace(offset=offset))
        return answer

    async def commit_transaction(self) -> None:
        self._end("committed")

    async def abort_transaction(self) -> None:
        self._end("aborted")

    def _end(self, how: str) -> None:
        self._partition.did.append(how)
        if self._partition.marks:
            self._partition.written += 1
            self._partition.readable = self._partition.written


def played(
    monkeypatch: pytest.MonkeyPatch,
    partition: Partition,
    situation: Callable[[StatusLog], Awaitable[None]],
) -> None:
    """The situation, with a writer of that partition."""

    async def end_offsets(tps: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(tps, partition.readable)

    async def know(topic: str) -> None:
        pass

    async def opened(_: LastStableOffset) -> Any:
        return SimpleNamespace(end_offsets=end_offsets, know=know)

    monkeypatch.setattr(fenced_producer, "AIOKafkaProducer", lambda **_: Producer(partition))
    monkeypatch.setattr(last_stable_offset.LastStableOffset, "_opened", opened)

    monkeypatch.setattr(fenced_writer, "ANSWERS_WITHIN_MS", 200)

    async def run() -> None:
        await situation(StatusLog(Settings(status_publish_timeout=0.2), "topic"))

    asyncio.run(run())


CLOCKS = {"time": time.time, "monotonic": time.monotonic}
RECORDS: list[Record] = [("key", b"value", [])]


def test_a_claim_shows_its_epoch_to_the_partition_before_anything_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        assert partition.did == ["claimed", "aborted"]
        assert await one.publish(0, RECORDS) == [2]  # behind the claim's aborted record and its marker

    partition = Partition()
    played(monkeypatch, partition, situation)


def test_a_worker_publishes_without_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        for _ in range(3):
            await one.publish(0, RECORDS)

    partition = Partition()
    played(monkeypatch, partition, situation)
    assert partition.did == ["claimed", "aborted"]


def test_a_claim_whose_abort_is_not_marked_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the marker is there Kafka refuses plain batches."""

    async def situation(one: StatusLog) -> None:
        with pytest.raises(LogUnavailable, match="could not be claimed"):
            await one.claim(0)
        assert not one.is_claimed(0)

    partition = Partition()
    partition.marks = False
    played(monkeypatch, partition, situation)
    assert partition.did == ["claimed", "aborted", "left"]


def test_a_claim_whose_partition_is_taken_away_meanwhile_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def situation(one: StatusLog) -> None:
        claiming = asyncio.create_task(one.claim(0))
        await asyncio.sleep(0.05)
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming
        assert partition.did == ["claimed", "aborted", "left"]
        assert not one.is_claimed(0)

    partition = Partition()
    partition.marks = False
    played(monkeypatch, partition, situation)


def test_a_partition_must_be_claimed_first(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(one: StatusLog) -> None:
        assert not one.is_claimed(0)
        with pytest.raises(LogUnavailable, match="must be claimed first"):
            await one.publish(0, RECORDS)

    played(monkeypatch, Partition(), situation)


def test_after_a_failure_the_partition_must_be_claimed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        partition.refuses = ProducerFenced()
        with pytest.raises(LogUnavailable, match="could not be published"):
            await one.publish(0, RECORDS)
        assert not one.is_claimed(0)

    partition = Partition()
    played(monkeypatch, partition, situation)


@pytest.mark.parametrize("clock", ["time", "monotonic"])
def test_a_claim_that_the_broker_may_have_forgotten_is_none(
    monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """Of whoever has not written for long, Kafka no longer knows that another has fenced it."""

    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        assert one.is_claimed(0)
        later = getattr(time, clock)() + fenced_producer.CLAIM_LASTS
        monkeypatch.setattr(fenced_producer, "time", SimpleNamespace(**CLOCKS | {clock: lambda: later}))
        assert not one.is_claimed(0)
        with pytest.raises(LogUnavailable, match="must be claimed first"):
            await one.publish(0, RECORDS)

    played(monkeypatch, Partition(), situation)


@pytest.mark.parametrize("clock", ["time", "monotonic"])
def test_a_claim_in_use_is_renewed_before_the_coordinator_forgets_it(
    monkeypatch: pytest.MonkeyPatch, clock: str
) -> None:
    """The next owner would have another producer id, and what this one still sends would be taken."""

    async def situation(one: StatusLog) -> None:
        now = getattr(time, clock)()
        monkeypatch.setattr(fenced_producer, "time", SimpleNamespace(**CLOCKS | {clock: lambda: now}))
        await one.claim(0)
        published = 0
        while one.is_claimed(0):
            await one.publish(0, RECORDS)
            now += fenced_producer.CLAIM_LASTS / 2
            published += 1
        assert 24 <= published <= 48

    played(monkeypatch, Partition(), situation)


def test_near_the_end_of_the_epochs_each_batch_has_its_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next owner has another producer id then, and no epoch of it refuses plain batches of this one."""

    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        await one.publish(0, RECORDS)

    partition = Partition()
    partition.epoch = fenced_producer.LAST_PLAIN_EPOCH + 1
    played(monkeypatch, partition, situation)
    assert partition.did == ["claimed", "aborted", "committed"]
    assert partition.readable == partition.written


def reassessed(_: StatusLog) -> Awaitable[None]:
    """A command publishes, instead of a worker."""

    async def run() -> None:
        async with FencedWriter(Settings(), "reassess", [TopicPartition("topic", 0)]) as writer:
            await writer.publish([Outgoing("topic", 0, b"key", b"value", [])])

    return run()


def test_what_a_command_publishes_can_be_read_before_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    played(monkeypatch, partition, reassessed)
    assert partition.did == ["claimed", "aborted", "committed", "left"]
    assert partition.readable == partition.written == 4


def test_what_a_command_left_hanging_is_undone_by_its_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    partition.written = 3
    played(monkeypatch, partition, reassessed)
    assert partition.did == ["claimed", "aborted", "committed", "left"]
    assert partition.readable == partition.written


def test_a_command_whose_commit_is_never_marked_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(_: StatusLog) -> None:
        async with FencedWriter(Settings(), "reassess", [TopicPartition("topic", 0)]) as writer:
            partition.marks = False
            await writer.publish([Outgoing("topic", 0, b"key", b"value", [])])

    partition = Partition()
    with pytest.raises(LogUnavailable, match="cannot be read yet"):
        played(monkeypatch, partition, situation)
