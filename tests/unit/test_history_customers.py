"""Each transaction sees exactly those of its customer before it, however the log is cut into batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from history import layout
from history.customers import CustomerHistory
from history.features import CUSTOMER_FEATURES
from history.transactions import Transactions
from tests.unit.history_reference import DEFAULTS, Reference, random_log, transactions

START = DEFAULTS["event_timestamp"]


def observed(history: CustomerHistory, *rows: dict[str, Any]) -> list[dict[str, int]]:
    """One batch; each transaction's features by name."""
    features = history.observe(transactions(*rows))
    return [dict(zip(CUSTOMER_FEATURES, row, strict=True)) for row in features.tolist()]


def seen_by_last(*rows: dict[str, Any]) -> dict[str, int]:
    return observed(CustomerHistory(), *rows)[-1]


def state(history: CustomerHistory) -> list[tuple[str, bytes]]:
    """Each customer's id and row, to the byte, without what is journalled."""
    ids, rows = history.dump()
    return [(one, row.tobytes()) for one, row in zip(ids, rows, strict=True)]


def cut(batch: Transactions, cuts: list[int]) -> list[Transactions]:
    ends = sorted({min(one, len(batch)) for one in cuts} | {len(batch)})
    return [batch.rows(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]


# The same numbers as the definitions


@pytest.mark.parametrize("pause", [1, 30, 600, 5_000, 40_000])
def test_a_long_log_gives_what_the_definitions_give(pause: float) -> None:
    """From seconds to days between two of a customer, so that every window is empty, part full and full."""
    log = random_log(1_500, 12, seed=int(pause), pause=pause)
    np.testing.assert_array_equal(CustomerHistory().observe(log), Reference().observe(log))


@pytest.mark.parametrize("seed", range(3))
def test_a_log_of_nothing_but_odd_values_gives_what_the_definitions_give(seed: int) -> None:
    random = np.random.default_rng(seed)
    clocks = [START, START + 50, START + 20_000, START + 86_400 * 31, 0, -1, 2**32, -(2**63), 2**63 - 1]
    chance = [0.5, 0.25, 0.2, 0.02, 0.01, 0.005, 0.005, 0.005, 0.005]
    degrees = [0.0, -7.1, 90, -90, 93.1334, 180, -180, 1e300, -np.inf, np.nan, 1e-7, 12.0445]
    log = Transactions(
        [f"customer {one}" for one in random.integers(0, 60, 1_500)],
        random.choice(["a", "A", "", "\ud800", "\U0001d51e"], 1_500).tolist(),
        random.choice([1, 499, 500, 2**32, 2**40 - 1, 2**40, 2**63 - 1, 0, -(2**63)], 1_500),
        random.choice(clocks, 1_500),
        random.choice(clocks, 1_500, p=chance),
        random.choice(degrees, 1_500),
        random.choice(degrees, 1_500),
    )
    history, parts = CustomerHistory(), cut(log, random.integers(0, 1_500, 20).tolist())
    found = np.concatenate([history.observe(part) for part in parts])
    np.testing.assert_array_equal(found, Reference().observe(log))


CLOCK = st.one_of(
    st.integers(START - 100, START + 4_000),
    st.sampled_from([0, 59, 60, 14_399, 14_400, 86_400, START + 86_400 * 31, 2**32 - 1, 2**32]),
    st.integers(-(2**63), 2**63 - 1),
)
DEGREES = st.sampled_from([0.0, 90.0, -90.0, 93.1334, 180.0, -180.0, 1e300, float("inf"), float("nan"), -7.1])
CENTS = st.sampled_from([1, 499, 500, 2**32, 2**40 - 1, 2**40, 2**63 - 1, 0, -(2**63)])
ROW = st.fixed_dictionaries(
    {
        # few, so that each has a history; text of any kind in a test of its own
        "customer_id": st.sampled_from(["a", "A", "\ud800"]),
        "merchant_id": st.sampled_from(["a", "A", "", "\x00", "\ud800", "\U0001d51e"]),
        "value_in_cents": CENTS | st.integers(1, 2_000),
        "transaction_timestamp": CLOCK,
        "event_timestamp": CLOCK,
        "latitude": DEGREES,
        "longitude": DEGREES | st.floats(-180, 180),
    }
)


def rows_up_to(most: int) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Of any length: hypothesis' own lists are mostly short."""
    return st.integers(0, most).flatmap(lambda size: st.lists(ROW, min_size=size, max_size=size))


LOG = rows_up_to(40).map(lambda rows: transactions(*rows))
CUTS = st.lists(st.integers(0, 40), max_size=4)


@given(log=LOG, cuts=CUTS)
@settings(max_examples=25, deadline=None)
def test_any_log_in_any_batches_gives_what_the_definitions_give(log: Transactions, cuts: list[int]) -> None:
    history, expected = CustomerHistory(), Reference().observe(log)
    found = [row for batch in cut(log, cuts) for row in history.observe(batch).tolist()]
    assert found == expected


@given(log=LOG, cuts=CUTS)
@settings(max_examples=10, deadline=None)
def test_any_batches_leave_the_same_state(log: Transactions, cuts: list[int]) -> None:
    whole, parts = CustomerHistory(), CustomerHistory()
    whole.observe(log)
    for batch in cut(log, cuts):
        parts.observe(batch)
    assert state(parts) == state(whole)


@pytest.mark.parametrize("size", [1, 7, 500, 3_000])
def test_batches_of_any_size_give_the_same_features_as_one(size: int) -> None:
    """More transactions than are worked on at once, of few customers and of many."""
    log = random_log(3_000, 1_500, seed=size, pause=20).rows(0, 200 * size)
    history = CustomerHistory()
    found = [history.observe(log.rows(start, start + size)) for start in range(0, len(log), size)]
    np.testing.assert_array_equal(np.concatenate(found), CustomerHistory().observe(log))


def test_transaction_n_sees_n_minus_1_in_one_batch() -> None:
    rows = [{"event_timestamp": START + second, "value_in_cents": 100 + second} for second in range(40)]
    found = observed(CustomerHistory(), *rows)
    assert [one["known"] for one in found] == list(range(40))
    assert [one["count_1m"] for one in found] == [*range(33), *[32] * 7]
    assert [one["largest_1m"] for one in found] == [-1, *range(100, 139)]
    assert [one["seconds_since_last"] for one in found] == [-1, *[1] * 39]


# What a window is


@pytest.mark.parametrize(
    ("window", "inside", "outside"),
    [("1m", 59, 60), ("10m", 599, 600), ("1h", 3_599, 3_600)],
)
def test_an_exact_window_has_the_seconds_after_t_minus_w(window: str, inside: int, outside: int) -> None:
    for ago, count in ((inside, 1), (outside, 0)):
        assert seen_by_last({}, {"event_timestamp": START + ago})[f"count_{window}"] == count


@pytest.mark.parametrize(
    ("window", "seconds", "size"),
    [("24h", 86_400, 14_400), ("7d", 7 * 86_400, 86_400), ("30d", 30 * 86_400, 86_400)],
)
def test_a_window_of_buckets_reaches_back_between_w_and_w_plus_one_bucket(
    window: str, seconds: int, size: int
) -> None:
    begin = START // size * size  # of a bucket
    for second in (0, size - 1):
        now = {"event_timestamp": begin + seconds + second}
        assert seen_by_last({"event_timestamp": begin}, now)[f"count_{window}"] == 1
        assert seen_by_last({"event_timestamp": begin - 1}, now)[f"count_{window}"] == 0


def test_beyond_32_in_an_hour_saturation_is_said() -> None:
    found = observed(CustomerHistory(), *[{}] * 40, {"event_timestamp": START + 3_599})
    assert [one["saturated"] for one in found] == [*[0] * 32, *[1] * 9]
    assert [one["count_1h"] for one in found[30:]] == [30, 31, *[32] * 9]
    assert found[-1]["count_24h"] == 40
    assert seen_by_last(*[{}] * 40, {"event_timestamp": START + 3_600})["saturated"] == 0


def test_what_is_not_known_is_minus_one() -> None:
    first = seen_by_last({})
    assert {name for name, value in first.items() if value == -1} == {
        *(f"largest_{window}" for window in ("1m", "10m", "1h", "24h", "7d", "30d")),
        "median", "spread", "seconds_since_last", "distance_km", "seconds_between", "speed_kmh",
        "new_merchant", "small_permille", "habit_permille",
    }  # fmt: skip
    assert {value for value in first.values() if value != -1} == {0}


# Bad input


def test_a_clock_that_goes_back_does_not_move_log_time_back() -> None:
    found = observed(
        CustomerHistory(), {}, {"event_timestamp": START - 5_000}, {"event_timestamp": START + 10}
    )
    assert [one["seconds_since_last"] for one in found] == [-1, 0, 10]
    assert found[-1]["count_1m"] == 2


def test_a_clients_clock_that_goes_back_is_no_negative_time() -> None:
    now = {"transaction_timestamp": START - 5_000, "latitude": 1.0}
    assert seen_by_last({}, now)["seconds_between"] == 0
    assert seen_by_last({}, now)["speed_kmh"] == 100_000


@pytest.mark.parametrize("clock", [-1, -(2**63), 2**32, 2**63 - 1])
def test_a_clock_far_off_is_taken_as_the_end_of_log_time(clock: int) -> None:
    found = observed(CustomerHistory(), *[{"event_timestamp": clock, "transaction_timestamp": clock}] * 2)
    assert found[1]["seconds_since_last"] == found[1]["seconds_between"] == 0
    assert found[1]["count_30d"] == 1


def test_ids_that_differ_in_case_are_two_customers() -> None:
    found = observed(
        CustomerHistory(), {"customer_id": "Ana"}, {"customer_id": "ana"}, {"customer_id": "Ana"}
    )
    assert [one["known"] for one in found] == [0, 0, 1]


def test_any_text_is_an_id() -> None:
    odd = ["", "\x00", "\ud800", "\U0010ffff", "e\u0301", "é", "a" * 255]
    history = CustomerHistory()
    observed(history, *({"customer_id": one, "merchant_id": one} for one in odd * 2))
    assert len(history) == len(odd)
    found = observed(CustomerHistory(), *({"merchant_id": one} for one in [*odd, odd[2]]))
    assert [one["new_merchant"] for one in found] == [-1, *[1] * 6, 0]


def test_the_largest_amounts_do_not_overflow() -> None:
    most, rows = 2**40 - 1, [{"value_in_cents": 2**63 - 1}] * 200
    found = seen_by_last(*rows)
    assert (found["sum_1m"], found["sum_30d"]) == (32 * most, 199 * most)
    assert (found["median"], found["spread"], found["largest_24h"]) == (most, 0, most)


def test_a_buckets_sum_ends_at_its_bound() -> None:
    """2^57 cents: after 131,073 transactions of the largest amount in a day."""
    history = CustomerHistory()
    observed(history, {"value_in_cents": 1})
    ids, words = history.dump()
    sums = layout.as_rows(words)["bucket_sums"]
    sums[sums > 0] = 2**57 - 5
    found = observed(CustomerHistory.of(ids, words), *[{"value_in_cents": 4}] * 3)
    assert [one["sum_24h"] for one in found] == [2**57 - 5, 2**57 - 1, 2**57]


@pytest.mark.parametrize(
    ("one", "other", "km"),
    [
        ((180, 0), (-180, 0), 40_030),  # a latitude that no place on earth has
        ((0, 180), (0, -180), 0),
        ((0, 179.5), (0, -179.5), 111),
        ((93.1334, 12.0445), (93.1334, 12.0445), 0),
        ((-23.55, -46.63), (-22.91, -43.2), 357),  # Sao Paulo, Rio
    ],
)
def test_a_distance_is_the_shorter_way_round(
    one: tuple[float, float], other: tuple[float, float], km: int
) -> None:
    there, here = ({"latitude": place[0], "longitude": place[1]} for place in (one, other))
    assert seen_by_last(there, here)["distance_km"] == km


def test_columns_of_different_lengths_are_refused_and_nothing_is_remembered() -> None:
    batch, history = transactions({}, {}), CustomerHistory()
    wrong = Transactions(**{**batch.__dict__, "latitude": batch.latitude[:1]})
    with pytest.raises(ValueError, match="different lengths"):
        history.observe(wrong)
    assert len(history) == 0


def test_an_empty_batch_is_nothing() -> None:
    history = CustomerHistory()
    assert history.observe(transactions(), journal=True).shape == (0, len(CUSTOMER_FEATURES))
    assert (len(history), state(history)) == (0, [])
    with pytest.raises(ValueError, match="the journal has 0 transactions"):
        history.forget(1)
