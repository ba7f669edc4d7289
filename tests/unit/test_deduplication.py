"""One transaction_id, one decision: the first one stands, whoever writes it again, wherever, with any content."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from app.errors import AntifraudUnavailable, LogUnavailable, Poison, StoreUnavailable
from app.models.transaction import millis_of_id, uuid7
from app.processing.back_pressure import Batch
from app.processing.deduplication import CLOCKS_APART, DecidedIds
from app.processing.pipeline import OTHER_CONTENT
from tests.unit.samples import Record, status, transaction
from tests.unit.test_pipeline import FakePorts, OneFault, driven, ids, pipeline, round_of, through
from tests.unit.virtual_time import run

NOW = int(time.time()) - 1000


def made(seconds: int) -> str:
    return uuid7(NOW + seconds)


def records(partition: int, *which: tuple[int, str], **changes: Any) -> Batch:
    """Records (offset, id)."""
    found = [Record(offset, transaction(transaction_id=id_, **changes)) for offset, id_ in which]
    return Batch("transaction_created", partition, found, which[-1][0] + 1)


def looked_up(ports: FakePorts) -> list[str]:
    return [call for call in ports.calls if call.startswith("look up")]


def reasons(ports: FakePorts) -> list[tuple[int, str]]:
    return [(one.record.offset, one.reason) for one in ports.dead_lettered]  # type: ignore[attr-defined]


def test_in_one_batch_it_is_decided_once() -> None:
    ports = FakePorts()
    through(ports, round_of(records(0, (1, "a"), (2, "b"), (3, "a"))))
    assert ports.asked == ["a", "b"]
    assert ports.log == [(0, ["a", "b"])]
    assert [(one["transaction_id"], one["source_offset"]) for one in ports.stored] == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("partition", [0, 1])
def test_in_two_batches_or_partitions_of_a_micro_batch_it_is_decided_once(partition: int) -> None:
    ports = FakePorts()
    through(ports, round_of(records(0, (1, "a")), records(partition, (2, "a"))))
    assert ports.asked == ids(ports.stored) == ["a"]


@pytest.mark.parametrize("partition", [0, 1])
def test_between_decision_and_publishing_it_is_known(partition: int) -> None:
    ports = FakePorts()

    async def main() -> None:
        one, first, second = (
            pipeline(ports, 0, 1),
            round_of(records(0, (1, "a"))),
            round_of(records(partition, (2, "a"))),
        )
        await one.claim()
        await one.decide(first)
        await one.decide(second)
        for micro_batch in (first, second):
            await one.publish(micro_batch)
            await one.store([micro_batch])

    run(main())
    assert ports.asked == ids(ports.stored) == ["a"]


@pytest.mark.parametrize("partition", [0, 1])
def test_once_it_is_published_it_is_known_and_no_store_is_asked(partition: int) -> None:
    ports = FakePorts()
    through(ports, round_of(records(0, (1, "a"))), round_of(records(partition, (2, "a"), (3, "b"))))
    assert ports.asked == ["a", "b"]
    assert looked_up(ports) == []


def test_published_by_an_earlier_owner_it_is_stored_once_and_not_decided_again() -> None:
    ports = FakePorts(recorded={0: {1: status(transaction(transaction_id="a"), 1)}})
    through(
        ports, round_of(records(0, (1, "a"), (2, "a"))), round_of(records(0, (3, "a")), records(1, (3, "a")))
    )
    assert ports.asked == []
    assert ports.log == []
    assert ids(ports.stored) == ["a"]


def test_what_was_decided_in_a_partition_of_ours_is_known_before_any_record_of_it_has_come() -> None:
    """A worker that starts: of two partitions with one id the one comes first whose record was not decided."""
    ports = FakePorts(recorded={3: {7: status(transaction(transaction_id="a"), 7, source_partition=3)}})

    async def main() -> None:
        one = pipeline(ports, 0, 1, 2, 3)
        await driven(one, round_of(records(1, (2, "a"), (3, "a"), value_in_cents=1)))
        await driven(one, round_of(records(3, (7, "a"))))

    run(main())
    assert ports.asked == []
    assert reasons(ports) == [(2, OTHER_CONTENT), (3, OTHER_CONTENT)]
    assert ids(ports.stored) == ["a"]
    assert sorted(ports.claimed) == [0, 1, 2, 3]


@pytest.mark.parametrize("published", [False, True])
def test_with_other_content_it_is_a_dead_letter_and_the_first_stands(published: bool) -> None:
    ports = FakePorts()
    first, other = records(0, (1, "a")), records(1, (2, "a"), value_in_cents=1)
    through(ports, *([round_of(first), round_of(other)] if published else [round_of(first, other)]))
    assert ports.asked == ids(ports.stored) == ["a"]
    assert reasons(ports) == [(2, OTHER_CONTENT)]


@pytest.mark.parametrize("field", [name for name in transaction() if name != "transaction_id"])
def test_one_field_that_differs_is_other_content(field: str) -> None:
    ports = FakePorts()
    value: Any = "another" if isinstance(transaction()[field], str) else 1  # type: ignore[literal-required]
    through(ports, round_of(records(0, (1, "a")), records(0, (2, "a"), **{field: value})))
    assert reasons(ports) == [(2, OTHER_CONTENT)]


def test_a_first_one_that_is_a_dead_letter_decides_nothing() -> None:
    ports = FakePorts()
    through(ports, round_of(records(0, (1, "a"), value_in_cents=0), records(0, (2, "a"))))
    assert ports.asked == ids(ports.stored) == ["a"]
    assert [offset for offset, _ in reasons(ports)] == [1]


def test_a_status_that_cannot_be_read_is_a_verdict_all_the_same() -> None:
    ports = FakePorts()

    async def main() -> None:
        one = pipeline(ports, 0)
        await driven(one, round_of(records(0, (1, "a"))))
        ports.placed = dict.fromkeys(ports.placed, Poison("schema 7 is not in the registry"))
        await driven(one, round_of(records(0, (2, "a"))))

    run(main())
    assert ports.asked == ["a"]
    ((offset, reason),) = reasons(ports)
    assert (offset, "schema 7 is not in the registry" in reason) == (2, True)


def test_a_record_that_can_be_read_no_longer_keeps_its_verdict() -> None:
    """Published, then killed before the row; then the registry forgot the schema. The key says whose record it is."""
    ports = FakePorts(recorded={0: {1: status(transaction(transaction_id="a"), 1)}})
    unreadable = [Record(offset, Poison("no schema"), key=b"a") for offset in (1, 2)]
    through(ports, round_of(Batch("transaction_created", 0, unreadable, 3)))
    assert ids(ports.stored) == ["a"]
    assert reasons(ports) == [(2, "no schema")]


def test_what_is_no_longer_in_the_log_is_looked_up() -> None:
    ports = FakePorts()

    async def main() -> None:
        one = pipeline(ports, 0)
        await driven(one, round_of(records(0, (1, "a"))))
        ports.placed.clear()
        await driven(one, round_of(records(0, (2, "a"))))

    run(main())
    assert ports.asked == ids(ports.stored) == ["a"]
    assert looked_up(ports) == ["look up a in 0"]


def test_without_the_look_up_nobody_is_asked_and_the_batch_holds_its_place() -> None:
    ports = FakePorts()
    ports.elsewhere = {"a"}
    ports.fails("look up a in 0", StoreUnavailable("no node"), LogUnavailable("no broker"))

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(records(0, (1, "a")))
        await one.claim()
        for failure in (StoreUnavailable, LogUnavailable):
            with pytest.raises(failure):
                await one.decide(micro_batch)
        assert ports.asked == []
        await driven(one, micro_batch)

    run(main())
    assert ports.asked == ["a"]


def test_what_the_worker_may_have_forgotten_is_looked_up() -> None:
    ports, older = FakePorts(), made(-50)
    ports.older_than_ms = NOW * 1000
    ports.stored = [status(transaction(transaction_id=id_), 9) for id_ in ("same", "other", older)]
    ports.stored.append(status(transaction(transaction_id="redelivered"), 4))
    through(
        ports,
        round_of(
            records(0, (1, "same"), (2, older), (3, made(100)), (4, "redelivered")),
            records(0, (5, "other"), value_in_cents=7),
        ),
    )
    assert len(ports.asked) == 1  # the new one
    assert reasons(ports) == [(5, OTHER_CONTENT)]
    assert ids(ports.stored[4:]) == ["redelivered", *ports.asked]


def test_a_worker_without_all_partitions_looks_up_records_outside_their_keys_partition() -> None:
    ports = FakePorts()
    ports.elsewhere = {"b", "c"}
    ports.stored = [status(transaction(transaction_id="b"), 9, source_partition=3)]
    through(ports, round_of(records(0, (1, "a"), (2, "b"), (3, "c"))))
    assert looked_up(ports) == ["look up b c in 0"]
    assert ports.asked == ["a", "c"]


def test_a_worker_with_all_partitions_looks_up_nothing() -> None:
    ports = FakePorts()
    ports.elsewhere = {"a"}
    through(
        ports,
        round_of(*(records(number, (1, f"x{number}")) for number in range(4))),
        round_of(records(0, (2, "a"))),
    )
    assert looked_up(ports) == []


def test_a_decision_that_failed_leaves_nothing_behind() -> None:
    ports = FakePorts()
    ports.antifraud_is_down = True

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0, when_down="hold"), round_of(records(0, (1, "a")))
        await one.claim()
        with pytest.raises(AntifraudUnavailable):
            await one.decide(micro_batch)
        ports.antifraud_is_down = False
        await driven(one, micro_batch)

    run(main())
    assert ids(ports.stored) == ["a"]


def test_what_was_decided_before_the_partition_went_away_and_came_back_is_forgotten() -> None:
    """It may never have been published; the owner in between decided, and that is in the log."""
    ports = FakePorts()

    async def main() -> None:
        decided_ids = DecidedIds()
        one = pipeline(ports, 0, decided_ids=decided_ids)
        await one.claim()
        await one.decide(round_of(records(0, (1, "a"))))
        await driven(pipeline(ports, 0, decided_ids=decided_ids), round_of(records(0, (1, "a"))))

    run(main())
    assert ids(ports.stored) == list(ports.published) == ["a"]
    assert ports.asked == ["a", "a"]


def test_decided_one_by_one_it_is_decided_once_too() -> None:
    ports = OneFault()
    ports.faulty = "bug"
    ports.fails("assess", None, LogUnavailable("an outage"))

    async def main() -> None:
        one, micro_batch = pipeline(ports, 0), round_of(records(0, (1, "a"), (2, "bug"), (3, "b"), (4, "a")))
        await one.claim()
        for _ in range(4):
            with pytest.raises((OverflowError, LogUnavailable)):
                await one.decide(micro_batch)
        await driven(one, micro_batch)

    run(main())
    assert ports.asked == ids(ports.stored) == ["a", "b"]
    assert ports.log == [(0, ["a", "b"])]


# What is remembered


def publish(memory: DecidedIds, partition: int, which: Sequence[str]) -> None:
    start = memory.read_to(partition)
    memory.published(partition, which, range(start, start + len(which)))


def test_a_new_id_has_no_status_as_long_as_nothing_is_forgotten() -> None:
    memory = DecidedIds(10, 40)
    publish(memory, 3, [made(n) for n in range(9)])
    assert not memory.may_be_forgotten(made(-1000), NOW * 1000)
    assert not memory.may_be_forgotten("foreign", NOW * 1000)


def test_the_newest_ids_of_each_partition_are_remembered_with_their_places_and_the_bound_holds() -> None:
    memory = DecidedIds(100, 400)
    published = [[made(n * 2 + number) for n in range(1000)] for number in (0, 1)]
    for start in range(0, 1000, 10):
        for number in (0, 1):
            publish(memory, number, published[number][start : start + 10])
        assert len(memory._young) + len(memory._old) <= 410
    for number in (0, 1):
        newest = published[number][-100:]
        assert memory.places_of(newest) == {one: (number, 900 + n) for n, one in enumerate(newest)}
    assert memory.places_of([published[0][0]]) == {}


def test_an_id_made_after_all_that_was_forgotten_has_no_status_and_any_other_may_have_one() -> None:
    memory = DecidedIds(10, 40)
    which = [made(n) for n in range(100)]
    for start in range(0, 100, 5):
        publish(memory, 0, which[start : start + 5])
    forgotten = [one for one in which if one not in memory.places_of(which)]
    now_ms = (NOW + 100) * 1000
    assert 80 <= len(forgotten) <= 90
    assert all(memory.may_be_forgotten(one, now_ms) for one in forgotten)
    assert not memory.may_be_forgotten(uuid7((millis_of_id(forgotten[-1]) or 0) / 1000 + 0.5), now_ms)
    assert memory.may_be_forgotten(str(uuid.uuid4()), now_ms)


def test_ids_of_another_form_do_not_hide_what_was_forgotten() -> None:
    memory = DecidedIds(10, 40)
    publish(memory, 0, [made(50), "~ sorts behind all"])
    for _ in range(3):
        publish(memory, 0, [str(uuid.uuid4()) for _ in range(10)])
    assert memory.may_be_forgotten(made(50), NOW * 1000)


def test_an_id_of_a_time_to_come_may_have_a_status_once_anything_is_forgotten() -> None:
    memory = DecidedIds(10, 40)
    memory.read(0, {}, 500, older_than_ms=(NOW - 100) * 1000)
    assert not memory.may_be_forgotten(made(0), NOW * 1000)
    assert memory.may_be_forgotten(made(CLOCKS_APART // 1000 + 5), NOW * 1000)


def test_what_was_published_before_what_was_read_may_have_been_made_a_clock_difference_round_of() -> None:
    memory = DecidedIds(10, 40)
    memory.read(0, {made(0): 499}, 500, older_than_ms=NOW * 1000)
    assert memory.may_be_forgotten(made(CLOCKS_APART // 1000), NOW * 1000 + CLOCKS_APART)
    assert not memory.may_be_forgotten(made(CLOCKS_APART // 1000 + 1), NOW * 1000 + CLOCKS_APART)


def test_of_what_is_read_again_the_place_that_was_known_first_stands() -> None:
    memory = DecidedIds(10, 40)
    publish(memory, 0, ["a"])
    memory.read(0, {"a": 7, "b": 6}, 8)
    assert (memory.places_of(["a", "b"]), memory.read_to(0)) == ({"a": (0, 0), "b": (0, 6)}, 8)
