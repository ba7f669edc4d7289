"""A record that may be in the log twice: the first one is decided, told and stored, its twin is passed over."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.delivery import Batch, Round
from app.errors import AntifraudUnavailable, LogUnavailable, StoreUnavailable
from app.models.transaction import MAY_BE_TWICE
from app.pipeline import Pipeline
from tests.unit.samples import Record, status, transaction
from tests.unit.test_pipeline import FakeDoors, ids, pipeline, round_of, through
from tests.unit.virtual_time import run


def marked(partition: int, *records: tuple[int, str]) -> Batch:
    """Records (offset, id) whose POST carried an Idempotency-Key."""
    found = [Record(offset, transaction(transaction_id=id_), (MAY_BE_TWICE,)) for offset, id_ in records]
    return Batch("transaction_created", partition, found, records[-1][0] + 1, 1)


def unmarked(partition: int, *records: tuple[int, str]) -> Batch:
    found = [Record(offset, transaction(transaction_id=id_)) for offset, id_ in records]
    return Batch("transaction_created", partition, found, records[-1][0] + 1, 1)


async def through_all(one: Pipeline, *rounds: Round) -> None:
    for round_ in rounds:
        await one.decide(round_)
        await one.tell(round_)
        await one.store(round_)


def later(*batches: Batch) -> Round:
    return round_of(*batches, first=False)


def looked_up(doors: FakeDoors) -> list[str]:
    return [call for call in doors.calls if call.startswith("look up")]


def test_twins_in_one_batch_are_decided_once() -> None:
    doors = FakeDoors()
    through(doors, round_of(marked(0, (1, "a"), (2, "b"), (3, "a"))))
    assert doors.asked == ["a", "b"]
    assert doors.log == [(0, ["a", "b"])]
    assert [(one["transaction_id"], one["source_offset"]) for one in doors.stored] == [("a", 1), ("b", 2)]


def test_twins_in_two_batches_of_a_round_are_decided_once() -> None:
    doors = FakeDoors()
    through(doors, round_of(marked(0, (1, "a")), marked(0, (2, "a"))))
    assert doors.asked == ["a"]


def test_a_twin_is_found_while_the_first_is_between_decision_and_row() -> None:
    doors = FakeDoors()

    async def main() -> None:
        one, first, second = pipeline(doors), round_of(marked(0, (1, "a"))), later(marked(0, (2, "a")))
        await one.decide(first)
        await one.decide(second)
        for round_ in (first, second):
            await one.tell(round_)
            await one.store(round_)

    run(main())
    assert doors.asked == ids(doors.stored) == ["a"]
    assert looked_up(doors) == ["look up a in 0"]


def test_a_twin_is_looked_up_once_the_first_has_its_row() -> None:
    doors = FakeDoors()
    through(doors, round_of(marked(0, (1, "a"))), later(marked(0, (2, "a"), (3, "b"))))
    assert doors.asked == ["a", "b"]
    assert looked_up(doors) == ["look up a in 0", "look up a b in 0"]


def test_a_first_whose_verdict_is_in_the_log_but_not_in_a_row_is_known_to_its_twin() -> None:
    """Told, then killed before the row: the first is redelivered and recalled, its twin is in no row."""
    doors = FakeDoors(recorded={0: {1: status(transaction(transaction_id="a"), 1)}})

    async def main() -> None:
        one = pipeline(doors)
        first, second = round_of(marked(0, (1, "a"), (2, "a"))), later(marked(0, (3, "a")))
        await one.decide(first)
        await one.decide(second)
        for round_ in (first, second):
            await one.tell(round_)
            await one.store(round_)

    run(main())
    assert doors.asked == []
    assert doors.log == []
    assert ids(doors.stored) == ["a"]


def test_without_the_look_up_nobody_is_asked_and_the_batch_holds_its_place() -> None:
    doors = FakeDoors()
    doors.fails("look up a in 0", StoreUnavailable("no node"), LogUnavailable("no broker"))

    async def main() -> None:
        one, round_ = pipeline(doors), round_of(marked(0, (1, "a")))
        for failure in (StoreUnavailable, LogUnavailable):
            with pytest.raises(failure):
                await one.decide(round_)
        assert doors.asked == []
        await through_all(one, round_)

    run(main())
    assert doors.asked == ["a"]


def test_a_decision_that_failed_leaves_nothing_behind() -> None:
    doors = FakeDoors()
    doors.antifraud_is_down = True

    async def main() -> None:
        one, round_ = pipeline(doors, "hold"), round_of(marked(0, (1, "a")))
        with pytest.raises(AntifraudUnavailable):
            await one.decide(round_)
        doors.antifraud_is_down = False
        await through_all(one, round_)

    run(main())
    assert ids(doors.stored) == ["a"]


def test_what_was_decided_before_the_partition_went_away_and_came_back_is_forgotten() -> None:
    """It may never have been told; whoever had the partition meanwhile decided, and that is in the log."""
    doors = FakeDoors()

    async def main() -> None:
        one = pipeline(doors)
        await one.decide(round_of(marked(0, (1, "a"))))
        await one.decide(round_of(marked(1, (1, "c")), first=False))
        await through_all(one, round_of(marked(0, (1, "a"))))

    run(main())
    assert ids(doors.stored) == ["a"]
    assert doors.asked == ["a", "c", "a"]


def test_a_record_that_is_not_marked_is_not_looked_up() -> None:
    doors = FakeDoors()
    through(doors, round_of(unmarked(0, (1, "a"), (2, "b")), marked(1, (1, "c"))))
    assert looked_up(doors) == ["look up c in 1"]
    assert doors.asked == ["a", "b", "c"]


def test_what_is_remembered_is_bounded_by_what_is_under_way() -> None:
    doors = FakeDoors()

    async def main() -> int:
        one = pipeline(doors)
        await through_all(one, *(later(marked(0, (n, f"t{n}"))) for n in range(50)))
        return len(one._twins._under_way)

    assert run(main()) == 0


def test_each_partition_is_looked_up_on_its_own() -> None:
    doors = FakeDoors()
    batches: Sequence[Batch] = (marked(0, (1, "a"), (2, "b")), marked(3, (1, "c")))
    through(doors, round_of(*batches))
    assert sorted(looked_up(doors)) == ["look up a b in 0", "look up c in 3"]
