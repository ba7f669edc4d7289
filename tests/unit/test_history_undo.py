"""What was observed can be taken back, to the byte; a snapshot has what the log has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history import layout
from history.customers import CustomerHistory
from tests.unit.history_reference import random_log, transactions
from tests.unit.test_history_customers import rows_up_to, state


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
    history.forget(2_000 - undone)
    expected = CustomerHistory()
    expected.observe(log.rows(0, 3_000 - undone))
    assert len(history) == len(expected)
    assert state(history) == state(expected)


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
@settings(max_examples=40, deadline=None)
def test_in_any_order_of_steps_there_is_what_was_not_undone_and_a_snapshot_has_what_was_forgotten(
    steps: list[tuple[str, Any]],
) -> None:
    history = CustomerHistory()
    kept: list[dict[str, Any]] = []
    in_log = 0
    do: dict[str, Callable[[int], None]] = {"undo": history.undo, "forget": history.forget}
    for name, argument in [*steps, ("snapshot", None)]:
        if name == "observe":
            history.observe(transactions(*argument), journal=True)
            kept += argument
        elif name == "snapshot":
            assert state(history) == state(after(*kept[:in_log]))
        else:
            count = min(argument, len(kept) - in_log)
            do[name](count)
            in_log += count if name == "forget" else 0
            kept = kept[: len(kept) - count] if name == "undo" else kept
        with pytest.raises(ValueError, match=f"the journal has {len(kept) - in_log} transactions"):
            history.forget(len(kept) - in_log + 1)
    history.forget(len(kept) - in_log)
    assert state(history) == state(after(*kept))


@pytest.mark.parametrize("count", [-1, 3])
def test_more_than_the_journal_has_is_not_undone_and_not_forgotten(count: int) -> None:
    history = CustomerHistory()
    history.observe(transactions({}))
    history.observe(transactions({}, {}), journal=True)
    for step in (history.undo, history.forget):
        with pytest.raises(ValueError, match="the journal has 2 transactions"):
            step(count)
    assert state(history) == state(after({}))
    history.forget(2)
    assert state(history) == state(after({}, {}, {}))


# Snapshots


def test_a_restored_history_gives_the_same_features_as_the_one_that_was_dumped() -> None:
    log, history = random_log(1_500, 60, seed=5, pause=900), CustomerHistory()
    history.observe(log.rows(0, 1_000))
    ids, rows = history.dump()
    other = CustomerHistory.of(ids[::-1], rows[::-1])  # the order says nothing
    np.testing.assert_array_equal(
        other.observe(log.rows(1_000, 1_500)), history.observe(log.rows(1_000, 1_500))
    )


@given(rows=rows_up_to(20))
@settings(max_examples=10, deadline=None)
def test_what_is_restored_is_what_was_dumped_and_nothing_of_it_can_be_undone(
    rows: list[dict[str, Any]],
) -> None:
    history = after(*rows)
    other = CustomerHistory.of(*history.dump())
    assert (len(other), state(other)) == (len(history), state(history))
    with pytest.raises(ValueError, match="the journal has 0 transactions"):
        other.undo(1)


def test_a_dump_stays_as_it_is_and_so_does_what_it_was_restored_from() -> None:
    """It is written while the history goes on; what is read from a file cannot be written to."""
    history = after({"customer_id": "a"})
    ids, rows = history.dump()
    before = rows.tobytes()
    rows.flags.writeable = False
    for one in (history, CustomerHistory.of(ids, rows)):
        one.observe(transactions({"customer_id": "a"}, {"customer_id": "new"}))
        assert (ids, rows.tobytes()) == (["a"], before)


def test_a_dump_leaves_out_what_is_not_in_the_log_yet() -> None:
    history = after({"customer_id": "a"})
    in_log = state(history)
    history.observe(transactions(*({"customer_id": one} for one in ("a", "new", "a"))), journal=True)
    assert state(history) == in_log
    history.forget(3)
    assert state(history) == state(after(*({"customer_id": one} for one in ("a", "a", "new", "a"))))


def test_a_row_has_about_a_kilobyte_and_one_of_another_size_is_another_version() -> None:
    assert (layout.VERSION, layout.ROW.itemsize) == (1, 1_128)
