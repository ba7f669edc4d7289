"""What verify finds wrong with a transaction, and what it counts as in flight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.commands.verify import observations
from app.commands.verify.observations import Observation
from app.commands.verify.rules import Problem, Watermarks, in_flight, problems
from app.models.status import TransactionStatus, decided_again, key_of_row
from app.models.transaction import Transaction, bucket_of, shard_of
from app.stores.recent_transactions import entry_of, pending_entry
from tests.unit.samples import BAD, GOOD, NOW, Record, status, transaction

ASKED, VERDICT = transaction(), status()
KEY = key_of_row(ASKED)
WHOLE = Watermarks(claimed_from="")
#: Both groups have committed everything; and nothing yet.
DONE = replace(WHOLE, decided={0: 100}, shown={0: 100}, now=NOW * 1000)
BEHIND = replace(WHOLE, decided={0: 7}, shown={0: 3}, now=NOW * 1000)


class At(Record):
    partition = 0


def created(offset: int = 7, **changes: Any) -> Observation:
    return observations.created(At(offset, timestamp=NOW * 1000), {**ASKED, **changes})  # type: ignore[typeddict-item]


def published(verdict: TransactionStatus = VERDICT, offset: int = 3) -> Observation:
    return observations.published(At(offset, timestamp=NOW * 1000), verdict)


def stored(verdict: TransactionStatus = VERDICT, **changes: Any) -> Observation:
    id_ = verdict["transaction_id"]
    place = {"bucket": bucket_of(id_, verdict["event_timestamp"]), "shard": shard_of(id_)}
    return observations.stored({**place, **verdict, **changes})


def entry(verdict: TransactionStatus = VERDICT) -> Observation:
    key, _, text = entry_of(verdict)
    return observations.entry(key, text)


def pending(one: Transaction = ASKED) -> Observation:
    key, _, text = pending_entry(one)
    return observations.entry(key, text)


LISTED = observations.listed(KEY)


def found(*those: Observation, watermarks: Watermarks = WHOLE) -> list[tuple[str, str]]:
    wrong: list[tuple[str, str]] = [(problem.kind, problem.where) for problem in problems(those, watermarks)]
    assert not (wrong and is_plain(*those, watermarks=watermarks)), (
        "the quick look overlooks what the other one finds"
    )
    return wrong


def is_plain(*those: Observation, watermarks: Watermarks = WHOLE) -> bool:
    collected = observations.Observations()
    collected.add(those)
    return all(plain for _, plain, _ in collected.plain(watermarks.claimed_from))


def only(*those: Observation, watermarks: Watermarks = WHOLE) -> Problem:
    assert len(found(*those, watermarks=watermarks)) == 1
    return problems(those, watermarks)[0]


def test_a_transaction_that_is_the_same_everywhere_is_right() -> None:
    assert is_plain(created(), published(), stored(), entry(), LISTED)
    assert is_plain(created(), published(), stored(), watermarks=Watermarks())
    assert found(created(), published(), stored(), entry(), LISTED) == []
    assert (
        found(created(), created(9), published(), published(offset=5), stored(), entry(), entry(), LISTED)
        == []
    )


@pytest.mark.parametrize(
    "column",
    [
        *observations.TRANSACTION_COLUMNS[1:],
        *observations.DECISION_COLUMNS,
        "source_partition",
        "source_offset",
    ],
)
def test_every_column_counts(column: str) -> None:
    others = {"status": "rejected", "reasons": '[{"feature":"known","value":0,"words":"new"}]'}
    changed: Any = {**VERDICT, column: others.get(column, 99)}
    if column == "revision":  # a fact's, and its text's
        assert found(created(), published(), stored(changed), entry(), LISTED) == [("different", "cassandra")]
        return
    moved = column == "event_timestamp"  # a foreign id's partition follows from it
    wanted = [("extra", "cassandra"), ("missing", "cassandra")] if moved else [("different", "cassandra")]
    row = stored(VERDICT, **{column: changed[column]})
    assert found(created(), published(), row, entry(), LISTED) == wanted
    if column in observations.TRANSACTION_COLUMNS:
        wrong = observations.published(At(3), changed)
        assert ("different", "transaction_status") in found(created(), wrong, stored(), entry(), LISTED)
    if not column.startswith("source_") and not moved:
        assert found(created(), published(), stored(), entry(changed), LISTED) == [("different", "redis")]


@pytest.mark.parametrize("column", ["source_partition", "source_offset"])
def test_a_status_that_names_another_record_than_the_one_that_asked_is_different(column: str) -> None:
    """The log and the row say the same; but a worker that takes the partition goes by it."""
    wrong: Any = {**VERDICT, column: 99}
    those = (created(), observations.published(At(3), wrong), stored(wrong), entry(), LISTED)
    assert found(*those) == [("different", "transaction_status")]


def test_of_a_record_that_is_there_twice_a_status_may_name_either() -> None:
    for offset in (7, 9):
        verdict: Any = {**VERDICT, "source_offset": offset}
        those = (observations.published(At(3), verdict), stored(verdict), entry(), LISTED)
        assert found(created(7), created(9), *those) == []


@pytest.mark.parametrize(("one", "other"), [(-1.0, -2.0), (1.0, True), (1, 1.0), (0.0, -0.0), (None, 0)])
def test_a_digest_distinguishes_what_python_takes_for_equal_or_hashes_alike(
    one: object, other: object
) -> None:
    assert observations.digest((one,)) != observations.digest((other,))


def test_what_is_missing_is_named_with_its_store() -> None:
    assert found(created(), published(), entry(), LISTED) == [("missing", "cassandra")]
    assert found(created(), published(), stored()) == [("missing", "redis")]
    assert found(created(), published(), stored(), entry()) == [("missing", "redis")]  # not in the list
    assert found(created(), published(), stored(), LISTED) == [
        ("missing", "redis")
    ]  # in the list, without content
    assert found(created(), pending(), LISTED) == [("missing", "transaction_status")]
    assert found(published(), stored(), entry(), LISTED) == [("missing", "transaction_created")]


def test_what_was_never_sent_is_extra() -> None:
    assert found(stored()) == [("extra", "cassandra")]
    assert found(entry(), LISTED) == [("extra", "redis")]
    assert found(LISTED) == [("extra", "redis")]


def test_a_row_in_a_partition_where_its_id_does_not_lead_is_extra() -> None:
    wrong = stored(VERDICT, bucket=5)
    assert found(created(), published(), stored(), wrong, entry(), LISTED) == [("extra", "cassandra")]


def test_the_highest_revision_counts_in_every_store() -> None:
    second = decided_again(VERDICT, BAD, NOW * 1000 + 1)
    log = (created(), published(), published(second, offset=4))
    assert found(*log, stored(second), entry(second), LISTED) == []
    assert found(*log, stored(), entry(second), LISTED) == [("different", "cassandra")]
    assert found(*log, stored(second), entry(), LISTED) == [("different", "redis")]


def test_two_verdicts_for_one_revision_are_named_but_not_an_identical_repetition() -> None:
    other: Any = {**VERDICT, "status": "rejected"}
    two = (created(), published(), published(other, offset=4))
    assert found(*two, stored(), entry(), LISTED) == [("two verdicts", "transaction_status")]
    assert found(*two, stored(other), entry(other), LISTED) == [("two verdicts", "transaction_status")]


def test_redis_needs_only_what_it_claims_to_have() -> None:
    log = (created(), published(), stored())
    assert found(*log, watermarks=Watermarks()) == []
    assert found(*log, watermarks=Watermarks(claimed_from=KEY + "0")) == []
    assert found(*log, watermarks=Watermarks(claimed_from=KEY)) == [("missing", "redis")]


def test_a_dead_letter_is_not_in_flight() -> None:
    dead_lettered = replace(WHOLE, dead_lettered={(0, 7)})
    assert found(created(), pending(), LISTED, watermarks=dead_lettered) == []
    assert found(created(), created(9), watermarks=dead_lettered) == [
        ("missing", "transaction_status")
    ]  # sent back


@pytest.mark.parametrize(
    "text", ["", "1\n{}", "1\n{}\n{}", "x\n{}\n{}", "1\n[]\n[]", '1\n{"a": 1}\n{"revision": 1}', "null"]
)
def test_an_entry_of_another_format_is_different(text: str) -> None:
    wrong = observations.entry(KEY, text)
    assert found(created(), published(), stored(), wrong, LISTED) == [("different", "redis")]


def test_an_entry_whose_list_and_detail_differ_is_different() -> None:
    key, _, text = entry_of(VERDICT)
    revision, short, long = text.split("\n")
    wrong = observations.entry(key, "\n".join([revision, short.replace("accepted", "rejected"), long]))
    assert found(created(), published(), stored(), wrong, LISTED) == [("different", "redis")]


def test_what_a_worker_has_not_committed_is_in_flight_and_what_it_has_is_not() -> None:
    for those in (
        (created(), pending(), LISTED),  # not published
        (created(),),  # not even pending
        (created(), published(), entry(), LISTED),  # not stored
        (created(), published(), stored(), pending(), LISTED),  # not shown
        (created(), published(), stored()),  # not shown at all
    ):
        problem = only(*those)
        assert in_flight(problem, BEHIND), problem
        assert not in_flight(problem, DONE), problem


def test_a_wrong_value_is_never_in_flight() -> None:
    changed: Any = {**VERDICT, "latitude": 5.0}
    for those in (
        (created(), published(), stored(changed), entry(), LISTED),
        (created(), published(), stored(), entry(changed), LISTED),
        (created(), observations.published(At(3), changed), stored(changed), entry(changed), LISTED),
        (published(), stored(), entry(), LISTED),
        (stored(),),
    ):
        assert not in_flight(only(*those), BEHIND)


def test_a_reassessment_may_be_between_publish_and_store_for_a_while() -> None:
    second = decided_again(VERDICT, GOOD, NOW * 1000)
    problem = only(created(), published(), published(second, offset=4), stored(), entry(second), LISTED)
    assert in_flight(problem, DONE)
    assert not in_flight(problem, replace(DONE, now=NOW * 1000 + 60_000))


def test_a_store_that_was_read_after_the_log_may_be_ahead() -> None:
    second = decided_again(VERDICT, BAD, NOW * 1000 + 1)
    assert only(created(), published(), stored(second), entry(), LISTED).may_be_ahead
    assert only(stored()).may_be_ahead
    assert not only(created(), published(), entry(), LISTED).may_be_ahead
