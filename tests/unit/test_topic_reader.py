"""Where reading a topic begins and ends, and when it is refused."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from app.commands.shared import topic_reader
from app.commands.shared.console import reason
from app.commands.shared.read_range import WHOLE, ReadRange
from app.commands.shared.topic_reader import OffsetOutOfRange, TopicReader, chosen
from app.settings import Settings

TOPIC = "transaction_status"
PARTITIONS = [TopicPartition(TOPIC, number) for number in range(2)]


@dataclass
class Time:
    offset: int


class Consumer:
    """Two partitions of ten records, one each second from second 0 on."""

    def __init__(self, beginning: int = 0):
        self.beginning = beginning
        self.at: dict[TopicPartition, int] = {}

    def assign(self, _: Any) -> None: ...

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self.at[tp] = offset

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, self.beginning)

    async def offsets_for_times(
        self, moments: dict[TopicPartition, int]
    ) -> dict[TopicPartition, Time | None]:
        offsets = {tp: max(self.beginning, -(-moment // 1000)) for tp, moment in moments.items()}
        return {tp: Time(offset) if offset < 10 else None for tp, offset in offsets.items()}


async def high_watermarks(_: Settings, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
    return dict.fromkeys(partitions, 10)


async def partitions_of(_: Settings, topic: str) -> list[TopicPartition]:
    assert topic == TOPIC
    return PARTITIONS


@pytest.fixture(autouse=True)
def _kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_reader, "high_watermarks", high_watermarks)
    monkeypatch.setattr(topic_reader, "partitions_of", partitions_of)


def test_a_partition_that_does_not_exist_is_named() -> None:
    assert chosen(PARTITIONS, ReadRange(last={1: 5})) == [PARTITIONS[1]]
    with pytest.raises(SystemExit, match="has no partition 9: it has 0 to 1"):
        chosen(PARTITIONS, ReadRange(last={0: 5, 9: 100}))


class Fixed(TopicReader):
    def __init__(self, consumer: Any):
        self._settings, self._topic, self._consumer = Settings(), TOPIC, consumer


def read(
    read_range: ReadRange = WHOLE, past: Any = None, beginning: int = 0
) -> tuple[dict[int, int], dict[int, int]]:
    async def seek() -> tuple[dict[int, int], dict[int, int]]:
        reader = Fixed(Consumer(beginning))
        await reader.seek(read_range, past)
        return reader.starts, reader.ends

    return asyncio.run(seek())


def test_everything_is_from_the_first_offset_to_the_current_end() -> None:
    assert read() == ({0: 0, 1: 0}, {0: 10, 1: 10})


def test_a_time_range_includes_its_start_and_excludes_its_end() -> None:
    assert read(ReadRange(since=3000, until=7000)) == ({0: 3, 1: 3}, {0: 7, 1: 7})
    assert read(ReadRange(until=60_000)) == ({0: 0, 1: 0}, {0: 10, 1: 10})
    assert read(ReadRange(since=60_000)) == ({0: 10, 1: 10}, {0: 10, 1: 10})


def test_with_offsets_only_the_named_partitions_are_read() -> None:
    assert read(ReadRange(first={1: 4})) == ({1: 4}, {1: 10})
    assert read(ReadRange(first={1: 4}, last={1: 5})) == ({1: 4}, {1: 5})
    assert read(ReadRange(last={0: 5, 1: 99})) == ({0: 0, 1: 0}, {0: 5, 1: 10})


def test_what_is_done_is_skipped_and_no_range_goes_back_for_it() -> None:
    assert read(past={1: 6})[0] == {0: 0, 1: 6}
    assert read(ReadRange(since=8000), past={1: 6})[0] == {0: 8, 1: 8}


@pytest.mark.parametrize(
    "read_range", [WHOLE, ReadRange(since=2000), ReadRange(first={0: 3}), ReadRange(last={1: 9})]
)
def test_a_deleted_beginning_is_refused(read_range: ReadRange) -> None:
    with pytest.raises(OffsetOutOfRange, match="begins at offset 5"):
        read(read_range, beginning=5)


def test_a_range_after_a_deleted_beginning_can_be_read() -> None:
    assert read(ReadRange(since=7000), beginning=5)[0] == {0: 7, 1: 7}
    assert read(ReadRange(first={0: 5}), beginning=5)[0] == {0: 5}
    assert read(past={0: 5, 1: 8}, beginning=5)[0] == {0: 5, 1: 8}


def test_a_broker_that_accepts_the_connection_and_never_answers_ends_a_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(topic_reader, "ANSWERS_WITHIN_MS", 300)

    async def look(port: int) -> None:
        async with topic_reader.connected(Settings(kafka_brokers=f"127.0.0.1:{port}")):
            pass

    async def situation() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server:
            await look(server.sockets[0].getsockname()[1])

    began = time.monotonic()
    with pytest.raises(KafkaConnectionError) as failed:
        asyncio.run(situation())
    assert time.monotonic() - began < 5
    assert "if nothing is up: make up" in reason(failed.value)
