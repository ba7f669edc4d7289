"""An unreadable batch stops only its own partition, at its own offset, and no other records are lost."""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaStorageError
from aiokafka.structs import TopicPartition

from app.messaging.fetching import ANSWERS_WITHIN, SILENT_AFTER, Fetching, Unreadable
from app.messaging.raw_batch import offset_after
from tests.support.broken_log import BASE_OFFSET, Log, batch, checked
from tests.unit.virtual_time import now, run

BAD, GOOD = TopicPartition("transaction_created", 0), TopicPartition("transaction_created", 1)
COUNT, SEED = 5_000, 18


def ten(number: int, codec: int = 0, header: bytes = b"name") -> bytearray:
    """The batch of offsets 10 * number to 10 * number + 9."""
    return batch(10 * number, [b"%d" % (10 * number + n) for n in range(10)], codec, header)


def with_wrong_checksum(raw: bytearray) -> bytearray:
    raw[-1] ^= 1
    return raw


def read(*batches: bytearray, most: int = 1000) -> tuple[list[int], list[int], Unreadable | None]:
    """The offsets that come of the bad and of the good partition, and where the bad one cannot go on."""
    end = 10 * len(batches)
    log = Log({BAD: [bytes(b) for b in batches], GOOD: [bytes(ten(0)), bytes(ten(1))]}, {BAD: end, GOOD: 20})

    async def main() -> tuple[list[int], list[int], Unreadable | None]:
        fetching, offsets, where = Fetching(log), {BAD: list[int](), GOOD: list[int]()}, None
        for _ in range(12):
            found, unreadable = await fetching.records([BAD, GOOD], 0, most)
            for tp, records in found.items():
                offsets[tp] += [record.offset for record in records]
            where = unreadable.get(BAD, where)
            if where or (not found and not unreadable and log.position(BAD) == end):
                break
            log.fetch()
        return offsets[BAD], offsets[GOOD], where

    return run(main())


def test_what_is_before_a_wrong_checksum_is_delivered_once_and_the_other_partition_whole() -> None:
    bad, good, where = read(ten(0), with_wrong_checksum(ten(1)), ten(2))
    assert bad == list(range(10))
    assert good == list(range(20))
    assert where is not None
    assert (where.offset, "CRC" in where.reason) == (10, True)


def test_the_same_when_few_records_are_taken_at_a_time() -> None:
    bad, good, where = read(ten(0), with_wrong_checksum(ten(1)), most=7)
    assert (bad, good) == (list(range(10)), list(range(20)))
    assert where is not None
    assert where.offset == 10


def test_reading_to_the_very_end_is_no_failure() -> None:
    for most in (5, 10):
        bad, _, where = read(ten(0, header=b"\xff"), ten(1), most=most)
        assert (bad, where) == (list(range(20)), None)


def test_an_unknown_codec_is_named() -> None:
    raw = ten(0)
    raw[22] |= 7
    _, good, where = read(checked(raw))
    assert (good, where and where.offset) == (list(range(20)), 0)
    assert where is not None
    assert "codec" in where.reason


def test_a_header_whose_name_is_not_utf_8_is_still_read() -> None:
    bad, _, where = read(ten(0), ten(1, header=b"\xff\xfe"), ten(2))
    assert (bad, where) == (list(range(30)), None)


def test_also_compressed_and_with_few_records_at_a_time() -> None:
    bad, _, where = read(ten(0), ten(1, codec=1, header=b"\xff"), most=4)
    assert (bad, where) == (list(range(20)), None)


def test_a_header_that_leads_back_or_beyond_the_end_is_not_followed() -> None:
    for base in (-500, 10**12):
        raw = ten(1)
        struct.pack_into(">q", raw, BASE_OFFSET, base)
        bad, _, where = read(ten(0), raw)
        assert bad == list(range(10))
        assert where is not None
        assert where.offset == 10


class Rebalanced(Log):
    """While a batch is asked for once more, the group gives this partition anew, to be read from `goes_on_at`."""

    def __init__(self, goes_on_at: int, takes: float, end: int) -> None:
        batches = [bytes(ten(0)), bytes(ten(1, header=b"\xff")), bytes(ten(2))]
        super().__init__({BAD: batches, GOOD: [bytes(ten(0))]}, {BAD: end, GOOD: 10})
        self.goes_on_at, self.takes = goes_on_at, takes
        self.seek_to(BAD, 10)
        self.fetch()

    async def send(self, node: int, request: Any) -> Any:
        await asyncio.sleep(self.takes)
        if self.goes_on_at >= 0:
            self.assignment = object()  # type: ignore[assignment]
            self.seek_to(BAD, self.goes_on_at)
        return await super().send(node, request)


def test_what_was_asked_for_in_an_assignment_that_is_over_moves_nothing_in_the_next_one() -> None:
    """It would pass over what lies between, or bring records that another worker has decided."""

    async def main() -> None:
        log = Rebalanced(0, 0.0, 30)
        fetching = Fetching(log)
        await fetching.records([BAD], 0, 1000)
        log.fetch()
        found, unreadable = await fetching.records([GOOD, BAD], 0, 1000)  # record by record
        assert (found, unreadable) == ({}, {})
        assert log.position(BAD) == 0

    run(main())


def test_a_broker_that_does_not_give_a_batch_once_more_holds_up_the_other_partitions_for_seconds() -> None:
    async def main() -> None:
        log = Rebalanced(-1, 3600.0, 30)
        fetching = Fetching(log)
        await fetching.records([BAD], 0, 1000)
        log.fetch()
        found, unreadable = await fetching.records([BAD, GOOD], 0, 1000)
        assert (list(found), unreadable[BAD].offset) == ([GOOD], 10)
        assert now() <= 2 * ANSWERS_WITHIN

    run(main())


CORRUPT, STORAGE, NOT_LEADER = 2, 56, 6


def whole() -> Log:
    """Two partitions of thirty records."""
    batches = [bytes(ten(n)) for n in range(3)]
    return Log({BAD: batches, GOOD: batches}, {BAD: 30, GOOD: 30})


async def until(log: Log, fetching: Fetching, tp: TopicPartition, seconds: float) -> list[Any]:
    """What is found of a partition at each look, or why it cannot go on, while the broker is asked all the time."""
    seen, ends = list[Any](), now() + seconds
    while now() < ends:
        found, unreadable = await fetching.records([BAD, GOOD], 0, 1000)
        if tp in found or tp in unreadable:
            seen.append(unreadable.get(tp) or [record.offset for record in found[tp]])
        await fetching.records([GOOD], 0, 1000)  # there are more looks than answers
        await asyncio.sleep(0.1)
        log.fetch()
    return seen


def test_what_the_broker_itself_cannot_read_is_named_and_not_asked_for_all_the_time() -> None:
    async def main() -> None:
        log = whole()
        fetching = Fetching(log)
        log.refuses[BAD] = range(20, 25), CORRUPT
        log.seek_to(BAD, 20)
        seen = await until(log, fetching, BAD, SILENT_AFTER + 1)
        assert {where.offset for where in seen} == {20}
        assert "CORRUPT_MESSAGE" in seen[0].reason
        asked = log.refused
        await until(log, fetching, BAD, 3)
        assert log.refused == asked
        assert log.position(GOOD) == 30
        log.refuses.clear()
        assert await until(log, fetching, BAD, 1) == [[], list(range(20, 30))]

    run(main())


def test_behind_it_is_the_next_offset_that_the_broker_gives() -> None:
    async def main() -> None:
        for last in (20, 24, 29):
            log = whole()
            fetching = Fetching(log)
            log.refuses[BAD] = range(20, last + 1), CORRUPT
            log.seek_to(BAD, 20)
            (where, *_) = await until(log, fetching, BAD, SILENT_AFTER + 1)
            await fetching.leave_out(BAD, where)
            assert log.position(BAD) == last + 1
            found = await until(log, fetching, BAD, 1)
            assert [offset for some in found for offset in some] == list(range(last + 1, 30))

    run(main())


def test_of_a_disk_that_gives_nothing_no_offset_is_left_out() -> None:
    async def main() -> None:
        log = whole()
        fetching = Fetching(log)
        log.refuses[BAD] = range(2**63), STORAGE
        log.seek_to(BAD, 20)
        (where, *_) = await until(log, fetching, BAD, SILENT_AFTER + 1)
        with pytest.raises(KafkaStorageError):
            await fetching.leave_out(BAD, where)
        assert log.position(BAD) == 20

    run(main())


class Meanwhile(Log):
    """Something happens to the log while it is asked once more."""

    def __init__(self, happens: Callable[[Meanwhile], None]):
        super().__init__({BAD: [bytes(ten(n)) for n in range(3)], GOOD: [bytes(ten(0))]}, {BAD: 30, GOOD: 10})
        self.happens = happens

    async def send(self, node: int, request: Any) -> Any:
        answer = await super().send(node, request)
        self.happens(self)
        return answer


def test_what_is_passed_over_or_assigned_anew_while_it_is_asked_for_is_not_held() -> None:
    def given_anew(log: Meanwhile) -> None:
        log.refuses.clear()
        log.given_anew(BAD)

    async def main() -> None:
        for happens, begins in ((lambda log: log.seek_to(BAD, 25), 25), (given_anew, 20)):
            log = Meanwhile(happens)
            fetching = Fetching(log)
            log.refuses[BAD] = range(20, 25), CORRUPT
            log.seek_to(BAD, 20)
            seen = await until(log, fetching, BAD, SILENT_AFTER + 1)
            assert [offset for some in seen for offset in some] == list(range(begins, 30))

    run(main())


def test_a_partition_that_is_to_begin_elsewhere_while_it_is_asked_for_is_not_held() -> None:
    """What Kafka keeps no more: aiokafka asks where the partition begins, and has no position until it knows."""

    async def main() -> None:
        log = Meanwhile(lambda log: setattr(log.state_value(BAD), "has_valid_position", False))
        log.refuses[BAD] = range(20, 25), CORRUPT
        log.seek_to(BAD, 20)
        assert await until(log, Fetching(log), BAD, SILENT_AFTER + 1) == []

    run(main())


def test_a_single_look_that_waits_long_enough_names_it() -> None:
    async def main() -> None:
        log = whole()
        log.refuses[BAD] = range(20, 25), CORRUPT
        log.seek_to(BAD, 20)
        _, unreadable = await Fetching(log).records([BAD], 10, 1)
        assert unreadable[BAD].offset == 20
        assert now() < SILENT_AFTER + 1

    run(main())


def test_a_partition_that_moves_and_one_that_has_nothing_new_are_not_unreadable() -> None:
    async def main() -> None:
        log = whole()
        fetching = Fetching(log)
        await until(log, fetching, BAD, 0.5)
        assert await until(log, fetching, BAD, 3 * SILENT_AFTER) == []
        assert log.asked_once_more == 0
        log.refuses[BAD] = range(100), NOT_LEADER
        assert await until(log, fetching, BAD, 3 * SILENT_AFTER) == []

    run(main())


def test_a_broker_that_gives_no_answer_at_all_is_no_unreadable_partition_and_holds_up_no_other_one() -> None:
    async def main() -> None:
        log = Rebalanced(-1, 3600.0, 30)
        fetching = Fetching(log)
        log.refuses[BAD] = range(100), CORRUPT
        log.seek_to(BAD, 20)
        assert await until(log, fetching, BAD, SILENT_AFTER + 1) == []
        assert log.asked_once_more == 0  # it hangs
        log.seek_to(GOOD, 0)
        log.fetch()
        began = now()
        found, _ = await fetching.records([BAD, GOOD], 10, 1000)
        assert (list(found), now()) == ([GOOD], began)
        assert await until(log, fetching, BAD, 3 * SILENT_AFTER) == []

    run(main())


def test_where_a_batch_ends_is_read_in_it_unless_that_cannot_be() -> None:
    assert offset_after(bytes(with_wrong_checksum(ten(1))), 13) == 20
    assert offset_after(bytes(ten(1)), 40) == 41
    assert offset_after(b"short", 40) == 41


def spoiled(rng: random.Random, raw: bytearray) -> bytearray:
    """A batch with some bytes changed or cut off, in its header more often than not; half with a checksum that fits."""
    for _ in range(rng.choice([1, 1, 2, 5])):
        raw[rng.randrange(len(raw) if rng.random() < 0.5 else 61)] = rng.randrange(256)
    if rng.random() < 0.1:
        raw = raw[: rng.randrange(20, len(raw))]
    elif rng.random() < 0.5:
        checked(raw)
    return raw


def test_each_of_5_000_spoiled_batches_is_delivered_or_named_and_the_other_partition_goes_on() -> None:
    rng, named = random.Random(SEED), set[str]()
    for _ in range(COUNT):
        raw = ten(1, rng.choice([0, 0, 0, 1, 2, 3, 4]))
        bad, good, where = read(ten(0), spoiled(rng, raw))
        assert good == list(range(20))
        assert bad[:10] == list(range(10))
        assert bad == sorted(set(bad))
        assert all(offset < 20 for offset in bad)
        if where:
            assert 10 <= where.offset < 20
            named.add(where.reason.split(":")[0])
    assert len(named) > 5
