"""Which transactions are re-assessed, and what is then published and stored."""

from __future__ import annotations

from typing import Any

from app.commands.reassess import BATCH, Batches, ReassessmentBacklog, Slice, TooMany, again
from app.commands.replay.batches import newest
from app.models.assessment import ANTIFRAUD_UNAVAILABLE, unassessed
from app.models.status import TransactionStatus, decided
from app.stores.transactions_table import row_of, write_time
from tests.unit.samples import GOOD, NOW, status, transaction


def unassessed_one(id_: str = "a", **changes: Any) -> TransactionStatus:
    first = decided(transaction(transaction_id=id_), unassessed(1)[0], 0, 7, NOW * 1000)
    return {**first, **changes}  # type: ignore[typeddict-item]


def second_of(first: TransactionStatus) -> TransactionStatus:
    return again([first], [GOOD], NOW * 1000 + 1)[0]


def noted(*statuses: TransactionStatus, part: Slice = Slice(), most: int = 1000) -> ReassessmentBacklog:  # noqa: B008
    found = ReassessmentBacklog(part, most)
    for one in statuses:
        found.note(one)
    return found


def taken(found: ReassessmentBacklog, *statuses: TransactionStatus) -> list[TransactionStatus]:
    """Those of the log that are assessed again."""
    return [one for one in statuses if found.takes(one)]


def test_only_unassessed_rejections_are_reassessed() -> None:
    log = unassessed_one("a"), status(transaction(transaction_id="b")), unassessed_one("c")
    found = noted(*log)
    assert found.waiting == 2
    assert taken(found, *log) == [log[0], log[2]]
    assert found.perhaps_not_stored == []


def test_the_highest_revision_decides_whether_one_is_reassessed() -> None:
    first = unassessed_one()
    log = first, second_of(first)
    assert taken(noted(*log), *log) == []
    still = first, {**second_of(first), "reason": ANTIFRAUD_UNAVAILABLE}
    assert taken(noted(*still), *still) == [still[1]]  # type: ignore[arg-type]


def test_a_first_verdict_published_again_after_the_second_is_not_reassessed() -> None:
    first = unassessed_one()
    log = first, second_of(first), first
    assert taken(noted(*log), *log) == []


def test_one_that_was_published_twice_is_reassessed_once() -> None:
    log = unassessed_one(), unassessed_one()
    assert taken(noted(*log), *log) == [log[0]]


def test_one_whose_unreadable_status_may_be_a_reassessment_is_left_alone() -> None:
    log = unassessed_one("a"), unassessed_one("b")
    found = noted(*log)
    found.note_unreadable("a")
    assert taken(found, *log) == [log[1]]
    assert found.unreadable == 1


def test_more_than_fit_in_memory_are_processed_in_parts_each_once() -> None:
    log = [unassessed_one(str(number)) for number in range(1000)]
    left, done = [Slice()], list[TransactionStatus]()
    while left:
        part = left.pop()
        try:
            found = noted(*log, part=part, most=150)
        except TooMany:
            left += part.halves()
            continue
        assert found.waiting <= 150
        done += taken(found, *log)
    assert sorted(int(one["transaction_id"]) for one in done) == list(range(1000))


def test_a_run_killed_between_publishing_and_storing_is_completed() -> None:
    first = unassessed_one()
    assert noted(first, second_of(first)).perhaps_not_stored == [second_of(first)]


def test_of_older_runs_only_one_batch_per_partition_is_stored_again() -> None:
    firsts = [unassessed_one(str(n), source_partition=n % 2) for n in range(4 * BATCH)]
    found = noted(*firsts, *map(second_of, firsts), most=4 * BATCH)
    assert found.perhaps_not_stored == [
        second_of(one) for p in (0, 1) for one in firsts[2 * BATCH :] if one["source_partition"] == p
    ]


def test_a_batch_is_of_one_partition() -> None:
    batches = Batches()
    full = [batches.add(unassessed_one(str(n), source_partition=n % 2)) for n in range(2 * BATCH + 4)]
    assert [
        (len(batch), {one["source_partition"] for one in batch})
        for batch in (*filter(None, full), *batches.rest())
    ] == [
        (BATCH, {0}),
        (BATCH, {1}),
        (2, {0}),
        (2, {1}),
    ]


def test_the_second_verdict_is_the_same_transaction_with_another_assessment() -> None:
    first = unassessed_one()
    second = second_of(first)
    assert second == {
        **first,
        "status": "accepted",
        "revision": 2,
        "decided_at": NOW * 1000 + 1,
        "score": 0.9,
        "reason": None,
        "model_version": "model-1",
        "threshold": 0.5,
        "replica": "antifraud-1",
    }


def test_a_second_verdict_replaces_the_reason_and_the_first_never_replaces_the_second() -> None:
    first = unassessed_one()
    second = second_of(first)
    assert None in row_of((1, 1), second)
    assert ANTIFRAUD_UNAVAILABLE in row_of((1, 1), first)
    assert write_time(second) > write_time(first)


def test_a_replay_writes_the_highest_revision_alone() -> None:
    first, other = unassessed_one(), status(transaction(transaction_id="b"))
    assert newest([first, other, second_of(first), first]) == [second_of(first), other]
