"""An open transaction of another producer is waited for, and reported once."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from faust.types import TP

from app.messaging.consumer import BatchTransport
from app.messaging.fetching import Unreadable
from app.messaging.open_transactions import OpenTransactions
from tests.unit.test_consumer import PARTITION, consumer_of
from tests.unit.virtual_time import run


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


def watched(until: float, seconds: float) -> OpenTransactions:
    """One partition waits at offset 17 for so many seconds; what is known of it after `seconds`."""

    async def main() -> OpenTransactions:
        loop = asyncio.get_running_loop()
        one = OpenTransactions(lambda: [(TP("created", 2), 17)] if loop.time() < 1_000 + until else [])
        looking = asyncio.create_task(one.run())
        await asyncio.sleep(seconds)
        looking.cancel()
        return one

    return run(main())


def test_one_line_says_where_and_that_a_restart_does_not_help(caplog: pytest.LogCaptureFixture) -> None:
    watched(until=100, seconds=60)
    (line,) = errors(caplog)
    assert "created[2]" in line
    assert "since offset 17" in line
    assert "restart does not help" in line


def test_a_short_transaction_like_ours_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    watched(until=3, seconds=60)
    assert caplog.records == []


def test_its_end_is_reported_and_the_wait_is_over(caplog: pytest.LogCaptureFixture) -> None:
    one = watched(until=30, seconds=60)
    assert "has ended after 30 s" in caplog.records[-1].getMessage()
    assert list(one.seconds()) == []


@pytest.mark.parametrize(
    ("position", "lso", "highwater", "behind", "waiting"),
    [(17, 17, 30, False, [17]), (12, 17, 30, True, []), (30, 30, 30, False, []), (17, None, None, False, [])],
    ids=["all that can be read is", "not yet", "nothing is open", "nothing is known"],
)
def test_a_partition_that_waits_is_not_behind(
    position: int, lso: int | None, highwater: int | None, behind: bool, waiting: list[int]
) -> None:
    async def main() -> None:
        consumer: Any = consumer_of(BatchTransport, committed=0)
        state = SimpleNamespace(position=position, lso=lso, highwater=highwater, has_valid_position=True)
        consumer._states = lambda: iter([(PARTITION, state)])
        assert consumer.is_behind(PARTITION.topic) is behind
        assert list(consumer.waiting()) == [(PARTITION, offset) for offset in waiting]

    asyncio.run(main())


def test_a_partition_that_is_held_at_an_unreadable_batch_is_not_behind() -> None:
    """Else the watchdog would take the worker for stuck; the other partitions of the topic still count."""

    async def main() -> None:
        consumer: Any = consumer_of(BatchTransport, committed=0)
        state = SimpleNamespace(position=12, lso=30, highwater=30, has_valid_position=True)
        others = [(TP(PARTITION.topic, PARTITION.partition + 1), state)]
        here = (TopicPartition(*PARTITION), state)
        consumer._states = lambda: iter([here])
        assert consumer.is_behind(PARTITION.topic)
        consumer.holds.note([], {PARTITION: Unreadable(12, "damaged")})
        assert not consumer.is_behind(PARTITION.topic)
        consumer._states = lambda: iter([here, *others])
        assert consumer.is_behind(PARTITION.topic)

    asyncio.run(main())
