"""Reading far back in a partition may take long; only a log that delivers nothing more is given up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import TopicPartition

from app.messaging.tail_reader import TIMEOUT, _read
from tests.unit.samples import Record
from tests.unit.virtual_time import run

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


def test_a_log_that_gives_nothing_more_is_given_up() -> None:
    with pytest.raises(TimeoutError):
        run(read(Consumer(5, 1.0), 10))
