"""What a history costs: bytes per customer."""

from __future__ import annotations

import tracemalloc

import numpy as np

from history.customers import CustomerHistory
from history.transactions import Transactions
from tests.unit.history_reference import DEFAULTS

START = DEFAULTS["event_timestamp"]


def many(customers: range) -> Transactions:
    """One transaction of each."""
    size = len(customers)
    ids = [f"c408a342-5c78-4e31-afc8-{one:012d}" for one in customers]
    seconds = np.full(size, START)
    return Transactions(ids, ["m"] * size, np.ones(size, np.int64), seconds, seconds, *np.zeros((2, size)))


def test_room_is_made_by_and_by_and_nothing_is_lost_by_it() -> None:
    history = CustomerHistory()
    history.observe(many(range(4_000)))
    _, first = history.dump()
    history.observe(many(range(4_000, 10_000)))
    ids, rows = history.dump()
    assert ids == many(range(10_000)).customer_ids
    assert (rows == first[0]).all()
    assert len(history._words) < 10_000 + 4_096


def test_a_customer_takes_at_most_1400_bytes_also_while_room_is_made() -> None:
    """State, id, number and dict, of ids that are UUIDs; a million of them then take 1.4 GB."""
    customers, history = 40_000, CustomerHistory()
    tracemalloc.start()
    for start in range(0, customers, 500):
        history.observe(many(range(start, start + 500)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_400 * customers
