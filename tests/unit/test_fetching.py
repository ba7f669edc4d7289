"""An unreadable batch stops only its own partition, at its own offset, and no other records are lost."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Any

from aiokafka.structs import TopicPartition

from app.messaging.fetching import ANSWERS_WITHIN, Fetching, Unreadable
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
