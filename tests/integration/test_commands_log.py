"""What the commands read and write, on a real broker: atomically, by one instance, to the current end."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import Iterator

import pytest
from aiokafka.errors import MessageSizeTooLargeError, ProducerFenced

from app.commands.shared.read_range import WHOLE, ReadRange
from app.commands.shared.topic_reader import TopicReader
from app.messaging.fenced_writer import FencedWriter, Outgoing
from app.settings import Settings
from tests.integration.test_kafka import make, with_admin

SETTINGS = Settings()


@pytest.fixture
def topic() -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:8]}"
    make(name)
    yield name
    with_admin(lambda admin: admin.delete_topics([name]))


def some(topic: str, *values: bytes | None, partition: int = 1) -> list[Outgoing]:
    return [Outgoing(topic, partition, None, value, [("name", b"x")]) for value in values]


async def values(topic: str, since: float | None = None, count: int = 0) -> list[bytes | None]:
    """What is read, once it is `count` records: a commit is visible a moment after its acknowledgement."""
    deadline = time.monotonic() + 10
    while True:
        async with TopicReader(SETTINGS, topic) as reader:
            await reader.seek(WHOLE if since is None else ReadRange(since=int((time.time() - since) * 1000)))
            found = [record.value async for chunk in reader.chunks(100) for record in chunk]
        if len(found) >= count or time.monotonic() > deadline:
            return found


def test_records_are_written_as_given_also_without_key_and_value(topic: str) -> None:
    async def run() -> None:
        async with FencedWriter(SETTINGS, topic) as writer:
            await writer.write([*some(topic, b"a", None), *some(topic, b"b", partition=3)])
        found: list[object] = []
        deadline = time.monotonic() + 10
        while len(found) < 3 and time.monotonic() < deadline:
            async with TopicReader(SETTINGS, topic) as reader:
                await reader.seek()
                found = [
                    (r.partition, r.key, r.value, r.headers)
                    async for chunk in reader.chunks(100)
                    for r in chunk
                ]
        headers = (("name", b"x"),)
        assert sorted(found, key=str) == sorted(
            [(1, None, b"a", headers), (1, None, None, headers), (3, None, b"b", headers)], key=str
        )

    asyncio.run(run())


def test_the_last_to_start_fences_the_others_and_sees_all_they_wrote(topic: str) -> None:
    async def run() -> None:
        async with FencedWriter(SETTINGS, topic) as first:
            await first.write(some(topic, b"first"))
            async with FencedWriter(SETTINGS, topic) as second:
                assert await values(topic, count=1) == [b"first"]
                with pytest.raises(ProducerFenced):
                    await first.write(some(topic, b"of one that was shut out"))
                await second.write(some(topic, b"second"))
        assert await values(topic, count=2) == [b"first", b"second"]

    asyncio.run(run())


def test_a_write_that_fails_leaves_nothing(topic: str) -> None:
    async def run() -> None:
        async with FencedWriter(SETTINGS, topic) as writer:
            with pytest.raises(MessageSizeTooLargeError):
                await writer.write([*some(topic, b"a"), *some(topic, os.urandom(5_000_000))])
            assert await values(topic) == []

    asyncio.run(run())


def test_only_recent_records_are_read(topic: str) -> None:
    async def run() -> None:
        async with FencedWriter(SETTINGS, topic) as writer:
            await writer.write(some(topic, b"old"))
            await asyncio.sleep(2)
            await writer.write(some(topic, b"young", partition=2))
        assert await values(topic, since=1.5, count=1) == [b"young"]
        assert set(await values(topic, since=3600, count=2)) == {b"old", b"young"}

    asyncio.run(run())


def test_what_is_committed_behind_anothers_open_transaction_is_waited_for_not_missed(topic: str) -> None:
    async def run() -> None:
        async with (
            FencedWriter(SETTINGS, f"{topic}-worker") as worker,
            FencedWriter(SETTINGS, topic) as writer,
        ):
            await worker._producer._producer.begin_transaction()
            await worker._producer._producer.send_and_wait(topic, b"not yet", partition=1)
            await writer.write(some(topic, b"written"))
            reading = asyncio.create_task(values(topic))
            await asyncio.wait([reading], timeout=2)
            await worker._producer._producer.abort_transaction()
            assert await reading == [b"written"]

    asyncio.run(run())
