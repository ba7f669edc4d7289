"""The truth strip: what is missing is named within seconds, and what is only late is not called lost."""

from __future__ import annotations

import time
from typing import Any

import pytest

from app.live import audit as audit_module
from app.live.audit import Audit
from app.live.feed import Logged, Written
from app.messaging.dead_letters import dead_letter_of
from tests.unit import samples


@pytest.fixture(autouse=True)
def nothing_is_early(monkeypatch: Any) -> None:
    """So that a test need not wait for what is overdue."""
    monkeypatch.setattr(audit_module, "PATIENCE", -1.0)


def begun(live: bool = True) -> Audit:
    audit = Audit()
    audit.begin({0: 0})
    if live:
        audit.went_live()
    return audit


def created(id_: str, offset: int = 0, timestamp_ms: int | None = None) -> Written:
    at = int(time.time() * 1000) + 1 if timestamp_ms is None else timestamp_ms
    return Written(created=[Logged(0, offset, at, samples.transaction(transaction_id=id_))])


def decided(id_: str, offset: int = 0, revision: int = 1) -> Written:
    return Written(statuses=[Logged(0, offset, 1000, samples.status(transaction_id=id_, revision=revision))])


def brought_to_its_end(audit: Audit, id_: str) -> None:
    audit.take(created(id_))
    audit.take(decided(id_))
    audit.stored([id_])
    audit.readable([id_])


def test_a_transaction_is_counted_at_each_place_that_it_comes_to() -> None:
    audit = begun()
    audit.acknowledged("a")
    brought_to_its_end(audit, "a")
    counts = audit.snapshot()
    assert [counts[name] for name in ("acknowledged", "in_log", "decided", "stored", "readable")] == [1] * 5
    assert [counts[name] for name in ("pending", "lost", "twice")] == [0] * 3
    assert audit.words()[0] == "ok"


def test_an_acknowledged_transaction_that_is_not_in_the_log_is_lost() -> None:
    audit = begun()
    audit.acknowledged("a")
    audit.not_in_log(audit.overdue_in_log())
    assert audit.snapshot()["lost"] == 1
    assert audit.words() == ("wrong", "1 acknowledged and not in the log")


def test_one_that_comes_after_all_is_lost_no_longer() -> None:
    audit = begun()
    audit.acknowledged("a")
    audit.not_in_log(audit.overdue_in_log())
    brought_to_its_end(audit, "a")
    assert audit.snapshot()["lost"] == 0


def test_a_committed_record_without_a_verdict_is_lost() -> None:
    audit = begun()
    audit.take(created("a"))
    audit.committed_without_verdict(audit.overdue_verdicts())
    assert audit.words() == ("wrong", "1 committed without a verdict")


def test_a_dead_letter_is_counted_and_not_lost() -> None:
    audit = begun()
    audit.take(created("a", 7))
    record = samples.Record(7, b"x")
    object.__setattr__(record, "topic", "transaction_created")
    object.__setattr__(record, "partition", 0)
    key, value, headers = dead_letter_of(record, "why")
    audit.take(Written(dead_letters=[samples.Record(0, value, tuple(headers), key=key)]))
    assert audit.overdue_verdicts() == {}
    assert audit.snapshot()["dead_letters"] == 1


def test_a_decided_transaction_whose_row_is_missing_is_lost() -> None:
    audit = begun()
    audit.take(created("a"))
    audit.take(decided("a"))
    audit.without_row(["a"])
    assert audit.words() == ("wrong", "1 decided without a row")
    audit.stored(["a"])
    assert audit.words()[0] == "ok"


def test_a_stored_transaction_that_is_not_shown_is_lost() -> None:
    audit = begun()
    audit.take(created("a"))
    audit.take(decided("a"))
    audit.stored(["a"])
    audit.not_shown(["a"])
    assert audit.words() == ("wrong", "1 stored and not shown")


def test_two_first_verdicts_are_one_too_many_and_a_reassessment_is_not() -> None:
    audit = begun()
    brought_to_its_end(audit, "a")
    audit.take(decided("a", offset=1, revision=2))
    assert audit.snapshot()["twice"] == 0
    audit.take(decided("a", offset=2))
    assert audit.words() == ("wrong", "1 decided twice")


def test_the_same_record_read_again_is_not_twice() -> None:
    audit = begun()
    brought_to_its_end(audit, "a")
    audit.take(created("a"))
    audit.take(decided("a"))
    assert audit.snapshot()["twice"] == 0
    assert audit.snapshot()["in_log"] == 1


def test_a_verdict_may_be_read_before_its_record() -> None:
    audit = begun()
    audit.take(decided("a"))
    audit.take(created("a"))
    assert audit.snapshot()["decided"] == 1
    assert audit.snapshot()["pending"] == 0


def test_what_was_decided_before_the_audit_began_is_not_called_lost() -> None:
    audit = begun(live=False)
    audit.take(created("a"))
    audit.went_live()
    audit.committed_without_verdict(audit.overdue_verdicts())
    assert audit.words()[0] == "ok"
    assert audit.snapshot()["in_log"] == 0


def test_acknowledgements_from_before_the_audit_began_count_if_their_records_are_read() -> None:
    audit = Audit()
    audit.acknowledged("read")
    audit.acknowledged("older than what is read")
    audit.begin({0: 0})
    audit.take(created("read"))
    audit.went_live()
    assert audit.snapshot()["acknowledged"] == 1
    assert audit.overdue_in_log() == []


def test_all_counts_begin_with_this_bff_whose_acknowledgements_are_known() -> None:
    audit = begun(live=False)
    audit.take(created("taken by the bff before", timestamp_ms=1000))
    audit.take(decided("taken by the bff before"))
    audit.went_live()
    assert audit.snapshot()["in_log"] == audit.snapshot()["decided"] == 0
    audit.acknowledged("a")
    audit.take(created("a"))
    assert audit.snapshot()["in_log"] == audit.snapshot()["acknowledged"] == 1


def test_it_begins_anew_where_too_many_are_on_their_way(monkeypatch: Any) -> None:
    monkeypatch.setattr(audit_module, "FOLLOWED_MOST", 10)
    audit = begun()
    for n in range(12):
        audit.take(created(str(n), n))
    assert audit.snapshot()["in_log"] < 12
    assert audit.words()[0] == "ok"
