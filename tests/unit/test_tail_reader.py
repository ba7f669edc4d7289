"""Reading far back in a partition may take long; only a log that delivers nothing more is given up. Looks share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaConnectionError

from app.errors import LogUnavailable
from app.messaging import tail_reader
from app.messaging.tail_reader import KEPT, TIMEOUT, TailReader, _read
from app.settings import Settings
from tests.unit.samples import Record
from tests.unit.virtual_time import now, run

TP = TopicPartition("transaction_status", 0)


class Consumer:
    """Gives a record each `every` seconds, `count` of them, then nothing more."""

    def __init__(self, count: int, every: float) -> None:
        self.count, self.every, self.given = count, every, 0

    def seek(self, *_: Any) -> None:
        pass

    async def position(self, _: Any) -> int:
        return self.given

    async def records(self, _: Any, timeout: float, most: int) -> Any:
        if self.given == self.count:
            await asyncio.sleep(timeout)
            return {}, {}
        await asyncio.sleep(self.every)
        self.given += 1
        return {TP: [Record(self.given - 1)]}, {}


async def read(consumer: Any, end: int) -> int:
    async with asyncio.timeout(TIMEOUT) as patience:
        return len(await _read(consumer, consumer, TP, 0, end, patience))


def test_records_that_keep_coming_are_waited_for() -> None:
    assert run(read(Consumer(10, TIMEOUT / 2), 10)) == 10


class OnlyMarkers(Consumer):
    """Has nothing but what a reader does not see: its position moves, and no record comes."""

    async def records(self, _: Any, timeout: float, most: int) -> Any:
        self.given = self.count
        await asyncio.sleep(timeout)
        return {}, {}


def test_what_cannot_be_seen_is_not_waited_for() -> None:
    async def main() -> None:
        assert await read(OnlyMarkers(2, 0), 2) == 0
        assert now() < 0.1

    run(main())


def test_a_log_that_gives_nothing_more_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        run(read(Consumer(5, 1.0), 10))


class Kafka:
    """Makes the consumers of a tail reader, and notes what becomes of each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started: list[OneOfKafkas] = []
        self.stopped: list[OneOfKafkas] = []
        self.looks: list[OneOfKafkas] = []  # whose consumer each look had
        self.is_down = False
        monkeypatch.setattr(tail_reader, "LogConsumer", lambda **_: OneOfKafkas(self))


class OneOfKafkas:
    """A consumer of partitions that have five records."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka, self.is_connected = kafka, True
        self.fetches: set[TopicPartition] = set()

    async def start(self) -> None:
        await asyncio.sleep(0.1)
        self.kafka.started.append(self)

    async def stop(self) -> None:
        self.kafka.stopped.append(self)

    async def know(self, topic: str) -> None:
        """All is known."""

    async def beginning_offsets(self, tps: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        await asyncio.sleep(0.1)
        if self.kafka.is_down:
            raise KafkaConnectionError("gone")
        return dict.fromkeys(tps, 0)

    async def high_watermark(self, _: TopicPartition) -> int:
        return 5

    def assign(self, tps: Sequence[TopicPartition]) -> None:
        self.kafka.looks.append(self)
        self.fetches = set(tps)

    def pause(self, tp: TopicPartition) -> None:
        self.fetches.remove(tp)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> Kafka:
    return Kafka(monkeypatch)


async def look(tail: TailReader) -> int:
    """From its end on: nothing is there to be read."""

    async def take(_: Sequence[Any]) -> None:
        raise AssertionError("nothing is there")

    return await tail.read_on("transaction_status", 0, 5, take)


def test_looks_one_after_the_other_have_one_consumer_which_is_stopped_when_nobody_has_looked_for_a_while(
    kafka: Kafka,
) -> None:
    async def main() -> None:
        tail = TailReader(Settings())
        for _ in range(4):
            assert await look(tail) == 5
            await asyncio.sleep(KEPT - 1)
        assert (len(kafka.looks), len(kafka.started), len(kafka.stopped)) == (4, 1, 0)
        await asyncio.sleep(2)
        assert kafka.stopped == kafka.started
        await look(tail)
        assert len(kafka.started) == 2

    run(main())


def test_looks_at_once_have_a_consumer_each(kafka: Kafka) -> None:
    async def main() -> None:
        tail = TailReader(Settings())
        await asyncio.gather(*(look(tail) for _ in range(3)))
        await asyncio.gather(*(look(tail) for _ in range(3)))
        assert len(set(kafka.looks[:3])) == len(set(kafka.looks[3:])) == len(kafka.started) == 3

    run(main())


def test_a_consumer_that_no_look_has_fetches_nothing(kafka: Kafka) -> None:
    async def main() -> None:
        await look(TailReader(Settings()))
        assert kafka.started[0].fetches == set()

    run(main())


def test_the_consumer_of_a_look_that_failed_is_of_no_use_to_the_next(kafka: Kafka) -> None:
    async def main() -> None:
        tail = TailReader(Settings())
        await look(tail)
        kafka.is_down = True
        with pytest.raises(LogUnavailable):
            await look(tail)
        kafka.is_down = False
        assert kafka.stopped == kafka.started
        await look(tail)
        assert len(kafka.started) == 2

    run(main())


def test_a_consumer_that_kafka_has_hung_up_on_is_of_no_use_to_the_next(kafka: Kafka) -> None:
    """Its questions would be repeated for long; a new one learns at once that Kafka is down."""

    async def main() -> None:
        tail = TailReader(Settings())
        await look(tail)
        kafka.started[0].is_connected = False
        await look(tail)
        assert kafka.looks == kafka.started
        await asyncio.sleep(KEPT + 1)
        assert set(kafka.stopped) == set(kafka.started)

    run(main())


def test_at_the_end_nothing_stays_connected(kafka: Kafka) -> None:
    async def main() -> None:
        tail = TailReader(Settings())
        await asyncio.gather(look(tail), look(tail))
        await tail.close()
        await asyncio.sleep(KEPT + 1)
        assert sorted(map(id, kafka.stopped)) == sorted(map(id, kafka.started))

    run(main())
