"""What was observed can be taken back, to the byte; a snapshot has what the log has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history.customers import CustomerHistory
from tests.unit.history_reference import random_log, transactions
from tests.unit.test_history_customers import rows_up_to, state


def all_of(history: CustomerHistory) -> dict[str, bytes]:
    """Every customer's packed row."""
    return dict(CustomerHistory.take_changes(changed(history)))


def changed(history: CustomerHistory) -> CustomerHistory:
    history._dirty[: len(history)] = True
    return history


def after(*rows: dict[str, Any]) -> CustomerHistory:
    history = CustomerHistory()
    history.observe(transactions(*rows))
    return history


# Undo


@pytest.mark.parametrize("undone", [1, 3, 700, 1_500, 2_000])
def test_undo_restores_exactly_what_was_before(undone: int) -> None:
    """In several batches, some of them larger than what is worked on at once, of old customers and of new ones."""
    log, history = random_log(3_000, 900, seed=undone, pause=30), CustomerHistory()
    history.observe(log.rows(0, 1_000))
    for start, end in ((1_000, 2_300), (2_300, 2_301), (2_301, 3_000)):
        history.observe(log.rows(start, end), journal=True)
    history.undo(undone)
    expected = CustomerHistory()
    expected.observe(log.rows(0, 3_000 - undone))
    assert len(history) == len(expected)
    assert state(history) == state(expected)
    assert history.mark() == 2_000 - undone


def test_after_undo_the_same_transactions_have_the_same_features() -> None:
    log, history = random_log(400, 90, seed=1, pause=30), CustomerHistory()
    history.observe(log.rows(0, 200))
    first = history.observe(log.rows(200, 400), journal=True)
    history.undo(200)
    np.testing.assert_array_equal(history.observe(log.rows(200, 400)), first)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), rows_up_to(4)),
        st.tuples(st.sampled_from(["undo", "forget"]), st.integers(0, 8)),
        st.tuples(st.just("snapshot"), st.none()),
    ),
    max_size=10,
)


@given(steps=STEPS)
@settings(max_examples=50, deadline=None)
def test_in_any_order_of_steps_there_is_what_was_not_undone_and_a_snapshot_has_what_was_forgotten(
    steps: list[tuple[str, Any]],
) -> None:
    history, snapshot = CustomerHistory(), dict[str, bytes]()
    kept: list[dict[str, Any]] = []
    in_log = 0
    do: dict[str, Callable[[int], None]] = {"undo": history.undo, "forget": history.forget}
    for name, argument in [*steps, ("snapshot", None)]:
        if name == "observe":
            history.observe(transactions(*argument), journal=True)
            kept += argument
        elif name == "snapshot":
            snapshot |= history.take_changes()
            assert snapshot == all_of(after(*kept[:in_log]))
        else:
            count = min(argument, len(kept) - in_log)
            do[name](count)
            in_log += count if name == "forget" else 0
            kept = kept[: len(kept) - count] if name == "undo" else kept
        assert history.mark() == len(kept) - in_log
    assert state(history) == state(after(*kept))


@pytest.mark.parametrize("count", [-1, 3])
def test_more_than_the_journal_has_is_not_undone_and_not_forgotten(count: int) -> None:
    history = CustomerHistory()
    history.observe(transactions({}))
    history.observe(transactions({}, {}), journal=True)
    for step in (history.undo, history.forget):
        with pytest.raises(ValueError, match="the journal has 2 transactions"):
            step(count)
    assert history.mark() == 2
    assert history.observe(transactions({}))[0][18] == 3  # known


# Snapshots


def test_a_packed_history_gives_the_same_features_as_the_one_it_was_packed_from() -> None:
    log, history, other = random_log(1_500, 60, seed=5, pause=900), CustomerHistory(), CustomerHistory()
    history.observe(log.rows(0, 1_000))
    # In another order, so in other rows.
    other.load(sorted(history.take_changes(), reverse=True))
    np.testing.assert_array_equal(
        other.observe(log.rows(1_000, 1_500)), history.observe(log.rows(1_000, 1_500))
    )


@given(rows=rows_up_to(20))
@settings(max_examples=15, deadline=None)
def test_unpack_undoes_pack(rows: list[dict[str, Any]]) -> None:
    history, other = after(*rows), CustomerHistory()
    for customer_id in {row["customer_id"] for row in rows}:
        (row,) = history.rows_of([customer_id]).tolist()
        other.unpack(customer_id, history.pack(row))
    assert all_of(other) == all_of(history)


def test_a_packed_history_has_about_a_kilobyte_and_a_version() -> None:
    packed = after({}).pack(0)
    assert (len(packed), packed[0]) == (1_129, 1)


@pytest.mark.parametrize(
    "wrong", [lambda one: b"", lambda one: one[:-1], lambda one: one + b"\0", lambda one: b"\2" + one[1:]]
)
def test_what_this_version_has_not_packed_is_refused_and_nothing_is_changed(
    wrong: Callable[[bytes], bytes],
) -> None:
    history = after({})
    before = history.pack(0)
    with pytest.raises(ValueError, match="a packed history has version 1 and 1129 bytes"):
        history.load([("new", before), ("c", wrong(before))])
    assert (len(history), history.pack(0)) == (1, before)


def test_a_loaded_history_replaces_what_there_was() -> None:
    history = after({}, {}, {"customer_id": "other"})
    history.unpack("c", after({"value_in_cents": 7}).pack(0))
    assert history.pack(0) == after({"value_in_cents": 7}).pack(0)
    assert len(history) == 2


def test_dirty_are_those_that_changed_since_they_were_asked_for() -> None:
    history = after({"customer_id": "a"}, {"customer_id": "b"}, {"customer_id": "a"})
    assert history.take_dirty() == ["a", "b"]
    assert history.take_dirty() == []
    history.load([("b", history.pack(0)), ("loaded", history.pack(0))])
    assert history.take_dirty() == []
    history.observe(transactions({"customer_id": "b"}), journal=True)
    assert history.take_dirty() == ["b"]
    history.undo(1)
    assert history.take_dirty() == ["b"]


def test_a_snapshot_leaves_out_what_is_not_in_the_log_yet() -> None:
    history = after({"customer_id": "a"})
    in_log = history.pack(0)
    history.observe(transactions(*({"customer_id": one} for one in ("a", "new", "a"))), journal=True)
    assert history.take_changes() == [("a", in_log)]
    history.forget(3)
    assert [one for one, _ in history.take_changes()] == ["a", "new"]
    assert history.take_changes() == []


def test_who_is_not_known_has_no_row() -> None:
    history = after({"customer_id": "a"}, {"customer_id": "b"})
    assert history.rows_of(["b", "A", "a"]).tolist() == [1, -1, 0]
    for row in (-1, 2):
        with pytest.raises(IndexError):
            history.pack(row)
