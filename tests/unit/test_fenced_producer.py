"""What is told can be read by everybody; what Kafka has forgotten to mark is undone before anything else is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.commands.shared import fenced_writer
from app.commands.shared.fenced_writer import FencedWriter, Outgoing
from app.errors import LogUnavailable
from app.messaging import fenced_producer, last_stable_offset
from app.messaging.last_stable_offset import LastStableOffset
from app.messaging.producer import Record
from app.messaging.status_log import StatusLog
from app.settings import Settings


class Partition:
    """One of Kafka's: how much is written, and how much of it can be read as last_stable_offset."""

    def __init__(self) -> None:
        self.written = self.readable = 0
        self.marks = True  # Kafka writes the marks of its commits
        self.did: list[str] = []


class Producer:
    """A transactional one."""

    def __init__(self, partition: Partition) -> None:
        self._partition = partition

    async def start(self) -> None:
        self._partition.did.append("took it")

    async def stop(self) -> None:
        self._partition.did.append("left")

    async def begin_transaction(self) -> None: ...

    def create_batch(self) -> Any:
        return SimpleNamespace(append=lambda **_: object(), close=lambda: None, record_count=lambda: 1)

    async def send_batch(self, _: Any, __: str, *, partition: int) -> Awaitable[Any]:
        offset = self._partition.written
        self._partition.written += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        answer.set_result(SimpleNamespace(offset=offset))
        return answer

    async def commit_transaction(self) -> None:
        self._partition.did.append("committed")
        if self._partition.marks:
            self._mark()

    async def abort_transaction(self) -> None:
        self._partition.did.append("aborted")
        self._mark()

    def _mark(self) -> None:
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

    async def high_watermarks(_: Settings, tps: list[Any]) -> dict[Any, int]:
        return dict.fromkeys(tps, partition.written)

    async def opened(_: LastStableOffset) -> Any:
        return SimpleNamespace(end_offsets=end_offsets)

    monkeypatch.setattr(fenced_producer, "AIOKafkaProducer", lambda **_: Producer(partition))
    monkeypatch.setattr(fenced_producer, "high_watermarks", high_watermarks)
    monkeypatch.setattr(fenced_producer, "HANGS_AFTER", 0.02)
    monkeypatch.setattr(last_stable_offset.LastStableOffset, "_opened", opened)

    monkeypatch.setattr(fenced_writer, "ANSWERS_WITHIN_MS", 200)

    async def run() -> None:
        await situation(StatusLog(Settings(status_publish_timeout=0.2), "topic"))

    asyncio.run(run())


RECORDS: list[Record] = [("key", b"value", [])]


def test_published_is_what_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        publishing = asyncio.create_task(one.publish(0, RECORDS))
        await asyncio.sleep(0.05)
        assert partition.did == ["took it", "committed"]
        assert not publishing.done()
        partition.readable = partition.written
        await publishing

    partition = Partition()
    partition.marks = False
    played(monkeypatch, partition, situation)


def test_a_commit_that_is_never_marked_is_not_published(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        with pytest.raises(LogUnavailable, match="could not be published"):
            await one.publish(0, RECORDS)

    partition = Partition()
    partition.marks = False
    played(monkeypatch, partition, situation)
    assert partition.did == ["took it", "committed", "left"]


def test_what_was_never_marked_is_undone_when_the_partition_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def situation(one: StatusLog) -> None:
        await one.claim(0)
        assert partition.did == ["took it", "aborted"]
        await one.publish(0, RECORDS)

    partition = Partition()
    partition.written = 3
    played(monkeypatch, partition, situation)
    assert partition.readable == partition.written


def test_a_partition_where_nothing_hangs_is_only_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    partition.written = partition.readable = 3
    played(monkeypatch, partition, lambda one: one.claim(0))
    assert partition.did == ["took it"]


def reassessed(_: StatusLog) -> Awaitable[None]:
    """A command publishes, instead of a worker."""

    async def run() -> None:
        async with FencedWriter(Settings(), "reassess", [TopicPartition("topic", 0)]) as writer:
            await writer.publish([Outgoing("topic", 0, b"key", b"value", [])])

    return run()


def test_what_a_command_publishes_can_be_read_before_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    played(monkeypatch, partition, reassessed)
    assert partition.did == ["took it", "committed", "left"]
    assert partition.readable == partition.written == 2


def test_what_a_command_left_hanging_is_undone_by_its_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    partition.written = 3
    played(monkeypatch, partition, reassessed)
    assert partition.did == ["took it", "aborted", "committed", "left"]


def test_a_command_whose_commit_is_never_marked_ends_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    partition.marks = False
    with pytest.raises(LogUnavailable, match="cannot be read yet"):
        played(monkeypatch, partition, reassessed)
