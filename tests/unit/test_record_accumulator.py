"""Records of single callers that are sent together: each gets its answer, in order, per partition."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from app.errors import LogUnavailable
from app.messaging.record_accumulator import RecordAccumulator


class Kafka:
    """Answers a batch on command; records what it was sent, in order."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, list[str]]] = []
        self.may_answer = asyncio.Event()
        self.failure: Exception | None = None

    async def send(self, topic: str, partition: int, records: Sequence[str]) -> None:
        self.sent.append((partition, list(records)))
        await self.may_answer.wait()
        if self.failure:
            raise self.failure


async def a_moment() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_records_that_arrive_before_kafka_answers_are_sent_together_in_order() -> None:
    async def situation() -> None:
        kafka = Kafka()
        accumulator = RecordAccumulator(kafka.send)
        answers = [accumulator.put("topic", 0, "first")]
        await a_moment()
        answers += [accumulator.put("topic", 0, name) for name in ("second", "third", "fourth")]
        await a_moment()
        assert kafka.sent == [(0, ["first"])]
        assert not any(answer.done() for answer in answers)
        kafka.may_answer.set()
        await asyncio.gather(*answers)
        assert kafka.sent[1:] == [(0, ["second", "third", "fourth"])]
        assert accumulator.held == 0

    asyncio.run(situation())


def test_a_partition_that_does_not_answer_holds_up_no_other() -> None:
    async def situation() -> None:
        kafka = Kafka()
        accumulator = RecordAccumulator(kafka.send)
        for partition in (0, 1, 0, 1):
            accumulator.put("topic", partition, "record")
            await a_moment()
        assert [partition for partition, _ in kafka.sent] == [0, 1]

    asyncio.run(situation())


def test_each_of_a_failed_batch_gets_the_reason_and_the_next_batch_is_sent() -> None:
    async def situation() -> None:
        kafka = Kafka()
        kafka.failure = LogUnavailable("no leader")
        accumulator = RecordAccumulator(kafka.send)
        answers = [accumulator.put("topic", 0, name) for name in ("first", "second")]
        kafka.may_answer.set()
        for answer in answers:
            with pytest.raises(LogUnavailable, match="no leader"):
                await answer
        kafka.failure = None
        await accumulator.put("topic", 0, "third")
        assert accumulator.held == 0

    asyncio.run(situation())


def test_a_bug_is_reported_too_and_nothing_stays_held() -> None:
    async def situation() -> None:
        kafka = Kafka()
        kafka.failure = AssertionError("unrecognized partition")
        accumulator = RecordAccumulator(kafka.send)
        kafka.may_answer.set()
        with pytest.raises(AssertionError):
            await accumulator.put("topic", 0, "record")
        assert accumulator.held == 0

    asyncio.run(situation())


def test_a_record_whose_caller_is_gone_is_held_until_kafka_answers_and_harms_no_other() -> None:
    async def situation() -> None:
        kafka = Kafka()
        accumulator = RecordAccumulator(kafka.send)
        gone, stays = (accumulator.put("topic", 0, name) for name in ("gone", "stays"))
        await a_moment()
        gone.cancel()
        assert accumulator.held == 2
        kafka.may_answer.set()
        await stays
        await accumulator.empty()
        assert (accumulator.held, kafka.sent) == (0, [(0, ["gone", "stays"])])

    asyncio.run(situation())
