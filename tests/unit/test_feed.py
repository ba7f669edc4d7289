"""Where the live feed begins to read, and what an id that a client made up changes of that."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.live.feed import LiveFeed
from app.messaging import topics

END = 100


class Listener:
    """Remembers where it began."""

    def begin(self, offsets: Mapping[int, int]) -> None:
        self.offsets = dict(offsets)

    def take(self, written: Any) -> None:
        self.taken = written

    def went_live(self) -> None:
        pass


class Consumer:
    """Of topics that have END records in each partition, none of them of lately."""

    async def beginning_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, 0)

    async def end_offsets(self, partitions: Any) -> dict[TopicPartition, int]:
        return dict.fromkeys(partitions, END)

    async def offsets_for_times(self, times: Any) -> dict[TopicPartition, None]:
        return dict.fromkeys(times)

    def assign(self, partitions: Any) -> None:
        pass

    def seek(self, partition: Any, offset: int) -> None:
        pass

    async def position(self, partition: Any) -> int:
        return END

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1}


@pytest.fixture(autouse=True)
def _two_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def admin_client(_: Any) -> AsyncIterator[None]:
        yield

    async def partitions(_: Any, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(2)]

    monkeypatch.setattr(topics, "admin_client", admin_client)
    monkeypatch.setattr(topics, "partitions", partitions)


def begun_at(offsets: dict[int, int]) -> tuple[LiveFeed, Listener]:
    listener = Listener()
    feed = LiveFeed(SimpleNamespace(settings=None), [listener])  # type: ignore[arg-type]
    feed.begin_at(offsets)
    asyncio.run(feed._assign(Consumer()))
    return feed, listener


def test_it_begins_where_the_client_stood_that_came_first() -> None:
    _, listener = begun_at({0: END - 3})
    assert listener.offsets[0] <= END - 3


def test_a_partition_that_there_is_not_is_nobodys_position() -> None:
    """Else every client's id would name it, and be of another log at every other bff."""
    feed, listener = begun_at({0: END - 3, 77: 9})
    assert listener.offsets.keys() == {0, 1}
    assert {tp.partition for tp in feed._next if tp.topic == topics.STATUS} == {0, 1}


def test_once_it_has_begun_no_clients_id_moves_it() -> None:
    """Also not while it connects anew: all others would get old ones again."""
    feed, _ = begun_at({0: END - 3})
    feed._next = dict.fromkeys(feed._next, END - 1)  # it has read on
    stood = dict(feed._next)
    feed.begin_at({0: 0})
    asyncio.run(feed._assign(Consumer()))
    assert feed._next == stood


def test_a_partition_that_kafka_gives_again_without_a_record_yet_moves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed, listener = begun_at({})

    class GivenAgain:
        def __init__(self, _: Any) -> None:
            pass

        async def records(self, *_: Any) -> Any:
            feed._idle_since = float("-inf")  # nobody listens any more: the last look
            return {TopicPartition(topics.DEAD_LETTER, 0): []}, {}

    monkeypatch.setattr("app.live.feed.Fetching", GivenAgain)
    asyncio.run(feed._follow(Consumer(), []))
    assert listener.taken.dead_letters == []
