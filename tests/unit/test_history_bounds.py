"""What a history costs: bytes per customer, CPU per transaction. CPU time, so that other processes do not count."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from history.customers import CustomerHistory
from history.transactions import Transactions
from tests.unit.history_reference import DEFAULTS, random_log

START = DEFAULTS["event_timestamp"]


def many(customers: range) -> Transactions:
    """One transaction of each."""
    size = len(customers)
    ids = [f"c408a342-5c78-4e31-afc8-{one:012d}" for one in customers]
    seconds = np.full(size, START)
    return Transactions(ids, ["m"] * size, np.ones(size, np.int64), seconds, seconds, *np.zeros((2, size)))


def best_of(times: int, action: Callable[[], object]) -> float:
    """CPU seconds of the quickest."""
    found = []
    for _ in range(times):
        begin = time.process_time()
        action()
        found.append(time.process_time() - begin)
    return min(found)


def test_room_is_made_by_and_by_and_nothing_is_lost_by_it() -> None:
    history = CustomerHistory()
    history.observe(many(range(4_000)))
    first = history.pack(0)
    history.observe(many(range(4_000, 20_000)))
    assert {history.pack(row) for row in range(20_000)} == {first}
    assert len(history._words) < 20_000 + 4_096


def test_a_customer_takes_at_most_1400_bytes_also_while_room_is_made() -> None:
    """State, id, number and dict, of ids that are UUIDs; a million of them then take 1.4 GB."""
    customers, history = 100_000, CustomerHistory()
    tracemalloc.start()
    for start in range(0, customers, 500):
        history.observe(many(range(start, start + 500)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_400 * customers


@pytest.mark.parametrize(("size", "milliseconds"), [(1, 1.5), (500, 10)])
def test_a_batch_of_different_customers_is_observed_in_milliseconds(size: int, milliseconds: float) -> None:
    history = CustomerHistory()
    history.observe(many(range(20_000)))
    assert best_of(20, lambda: history.observe(many(range(7_000, 7_000 + size)))) * 1_000 < milliseconds


def test_a_batch_of_one_customer_costs_at_most_200_microseconds_per_transaction() -> None:
    history, batch = CustomerHistory(), random_log(500, 1, seed=1, pause=1)
    assert best_of(5, lambda: history.observe(batch)) / 500 < 200e-6


def test_training_observes_a_transaction_in_microseconds() -> None:
    history, batch = CustomerHistory(), random_log(50_000, 20_000, seed=1, pause=1)
    assert best_of(3, lambda: history.observe(batch)) / 50_000 < 15e-6


def test_a_million_packed_histories_are_loaded_in_10_seconds() -> None:
    history = CustomerHistory()
    history.observe(many(range(1)))
    items = [(f"customer {one}", history.pack(0)) for one in range(20_000)]
    assert best_of(3, lambda: CustomerHistory().load(items)) / 20_000 < 10e-6
