"""What was rejected without an assessment is counted once, until it is re-assessed, in whatever order it is read."""

from __future__ import annotations

import random
from typing import Any

from app.live import unassessed
from app.live.feed import Logged, Written
from app.live.unassessed import Unassessed
from app.models.assessment import ANTIFRAUD_UNAVAILABLE
from app.models.status import TransactionStatus
from tests.unit.samples import NOW, status


def rejected(number: int, **changes: Any) -> TransactionStatus:
    """Because no replica answered."""
    fields = {"status": "rejected", "reason": ANTIFRAUD_UNAVAILABLE, "score": None}
    return status(transaction_id=f"t-{number}", decided_at=(NOW + number) * 1000, **(fields | changes))


def assessed(number: int) -> TransactionStatus:
    """Later."""
    return rejected(number, status="accepted", reason=None, score=0.9, revision=2)


def test_with_nothing_rejected_unassessed_there_is_none() -> None:
    counted = Unassessed()
    counted.note([status(), status(status="rejected", score=0.1)])
    assert counted.document() == {"count": 0, "since": None}


def test_each_is_counted_once_with_the_time_of_the_first_however_often_it_is_read() -> None:
    counted = Unassessed()
    counted.note([rejected(3), rejected(1), rejected(2)])
    counted.take(Written(statuses=[Logged(0, 0, 0, rejected(1))]))
    counted.begin({})
    assert counted.document() == {"count": 3, "since": float(NOW + 1)}


def test_one_that_was_reassessed_is_counted_no_longer_though_its_first_verdict_is_read_after_that() -> None:
    read = [rejected(1), rejected(2), assessed(1), rejected(1), assessed(1)]
    for seed in range(20):
        random.Random(seed).shuffle(read)
        counted = Unassessed()
        for one in read:
            counted.note([one])
        assert counted.document() == {"count": 1, "since": float(NOW + 2)}


def test_one_that_was_rejected_again_without_an_assessment_waits_still() -> None:
    counted = Unassessed()
    counted.note([rejected(1), rejected(1, revision=2)])
    assert counted.document()["count"] == 1


def test_of_very_many_the_ids_are_not_kept_and_they_are_counted_all_the_same() -> None:
    counted = Unassessed()
    counted.note(rejected(number) for number in range(unassessed.KEPT + 1000))
    assert counted.document() == {"count": unassessed.KEPT + 1000, "since": float(NOW)}
    assert len(counted._known) == unassessed.KEPT
