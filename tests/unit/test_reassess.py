"""Who is assessed again, and what is then told and stored."""

from __future__ import annotations

from typing import Any

from app.clients.transactions_table import row_of, write_time
from app.commands.chunks import newest
from app.commands.reassess import BATCH, Found, again
from app.models.assessment import ANTIFRAUD_UNAVAILABLE, unassessed
from app.models.status import TransactionStatus, decided
from tests.unit.samples import GOOD, NOW, status, transaction


def unassessed_one(id_: str = "a", **changes: Any) -> TransactionStatus:
    first = decided(transaction(transaction_id=id_), unassessed(1)[0], 0, 7, NOW * 1000)
    return {**first, **changes}  # type: ignore[typeddict-item]


def second_of(first: TransactionStatus) -> TransactionStatus:
    return again([first], [GOOD], NOW * 1000 + 1)[0]


def noted(*statuses: TransactionStatus) -> Found:
    found = Found()
    for one in statuses:
        found.note(one)
    return found


def test_only_what_nobody_assessed_waits() -> None:
    found = noted(unassessed_one("a"), status(transaction(transaction_id="b")), unassessed_one("c"))
    assert list(found.waiting) == ["a", "c"]
    assert found.perhaps_not_stored == []


def test_the_highest_revision_says_whether_one_waits() -> None:
    first = unassessed_one()
    assert list(noted(first, second_of(first)).waiting) == []
    still = {**second_of(first), "reason": ANTIFRAUD_UNAVAILABLE}
    assert noted(first, still).waiting["a"]["revision"] == 2  # type: ignore[arg-type]


def test_a_first_verdict_told_again_after_the_second_does_not_wait() -> None:
    first = unassessed_one()
    assert list(noted(first, second_of(first), first).waiting) == []


def test_a_run_killed_between_telling_and_storing_is_completed() -> None:
    first = unassessed_one()
    assert noted(first, second_of(first)).perhaps_not_stored == [second_of(first)]


def test_of_older_runs_only_a_batch_a_partition_is_stored_again() -> None:
    firsts = [unassessed_one(str(n), source_partition=n % 2) for n in range(4 * BATCH)]
    found = noted(*firsts, *map(second_of, firsts))
    assert found.perhaps_not_stored == [
        second_of(one) for p in (0, 1) for one in firsts[2 * BATCH :] if one["source_partition"] == p
    ]


def test_a_batch_is_of_one_partition() -> None:
    found = noted(*(unassessed_one(str(n), source_partition=n % 2) for n in range(2 * BATCH + 4)))
    assert [(len(batch), {one["source_partition"] for one in batch}) for batch in found.batches()] == [
        (BATCH, {0}),
        (2, {0}),
        (BATCH, {1}),
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


def test_a_second_verdict_covers_the_reason_and_the_first_never_covers_the_second() -> None:
    first = unassessed_one()
    second = second_of(first)
    assert None in row_of((1, 1), second)
    assert ANTIFRAUD_UNAVAILABLE in row_of((1, 1), first)
    assert write_time(second) > write_time(first)


def test_a_replay_writes_the_highest_revision_alone() -> None:
    first, other = unassessed_one(), status(transaction(transaction_id="b"))
    assert newest([first, other, second_of(first), first]) == [second_of(first), other]
