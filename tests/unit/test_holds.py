"""An unreadable partition is held visibly, retried, and resumes where the log says it was passed over."""

from __future__ import annotations

import asyncio
import logging

import pytest
from faust.types import TP

from app.errors import LogUnavailable
from app.messaging.fetching import Unreadable
from app.messaging.holds import AGAIN_AFTER, Holds
from app.messaging.passed_over import PassedOver
from app.messaging.tail_reader import Back, Take
from tests.unit.samples import Record
from tests.unit.virtual_time import run

HELD, OTHER = TP("transaction_created", 2), TP("transaction_created", 1)
WRONG = {HELD: Unreadable(17, "wrong checksum")}


def test_the_others_are_read_meanwhile_and_it_is_retried_after_some_seconds() -> None:
    async def main() -> None:
        holds = Holds()
        holds.note([], WRONG)
        assert holds.to_read([HELD, OTHER]) == {OTHER}
        await asyncio.sleep(AGAIN_AFTER)
        assert holds.to_read([HELD, OTHER]) == {HELD, OTHER}
        holds.note([OTHER], WRONG)
        assert holds.to_read([HELD, OTHER]) == {OTHER}

    run(main())


def test_one_alarm_however_often_it_is_tried_and_a_line_once_it_can_be_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    holds = Holds()
    for _ in range(3):
        holds.note([], WRONG)
    (alarm,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "transaction_created[2]@17" in alarm.getMessage()
    assert "make pass-over AT=transaction_created:2:17" in alarm.getMessage()
    holds.note([HELD], {})
    assert "can be read again" in caplog.text
    assert list(holds) == []


def dead_letter(offset: int, source: int, next_offset: int | None = 18) -> Record:
    said = {"topic": "transaction_created", "partition": "2", "offset": str(source)}
    if next_offset:
        said["next_offset"] = str(next_offset)
    return Record(
        offset, headers=tuple((f"dead_letter.{name}", text.encode()) for name, text in said.items())
    )


class Tail:
    """The dead letters of the partition; unavailable at the first look."""

    def __init__(self, dead_letters: list[Record]):
        self.dead_letters, self.looks = dead_letters, 0

    async def read_back(self, topic: str, partition: int, take: Take, since: int = 0) -> Back:
        self.looks += 1
        if self.looks == 1:
            raise LogUnavailable("no broker")
        assert (topic, partition) == ("transaction_created.dead_letter", 2)
        for dead_letter in reversed(self.dead_letters):
            if dead_letter.offset < since or await take([dead_letter]):
                break
        return Back(0, self.dead_letters[-1].offset + 1 if self.dead_letters else 0, whole=True)


class Consumer:
    """Has records in hand for the first 12 seconds."""

    def __init__(self) -> None:
        self.holds, self.went_on = Holds(), list[int]()
        self.holds.note([], WRONG)

    async def pass_over(self, tp: TP, offset: int) -> bool:
        if asyncio.get_running_loop().time() < 1012:
            return False
        self.went_on.append(offset)
        self.holds.release(tp)
        return True


@pytest.mark.parametrize(
    ("dead_letters", "went_on"),
    [
        ([dead_letter(5, 17)], [18]),
        ([dead_letter(5, 16), Record(6), dead_letter(7, 17), dead_letter(8, 17)], [18]),
        ([dead_letter(5, 17), Record(6)], [18]),
        ([dead_letter(5, 17, next_offset=None)], []),
        ([dead_letter(5, 16)], []),
        ([], []),
    ],
    ids=[
        "passed over",
        "twice, among others",
        "seen while records were in hand",
        "a record's letter",
        "another batch's",
        "nothing",
    ],
)
def test_it_resumes_behind_a_batch_that_was_passed_over_and_no_other(
    dead_letters: list[Record], went_on: list[int]
) -> None:
    async def main() -> None:
        consumer = Consumer()
        looking = asyncio.create_task(PassedOver(Tail(dead_letters), consumer).run())
        await asyncio.sleep(30)
        looking.cancel()
        assert consumer.went_on == went_on

    run(main())
