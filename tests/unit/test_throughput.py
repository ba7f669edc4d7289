"""What the pipeline's benchmark counts as wrong, and how it compares."""

from typing import Any

import pytest

from app.messaging import topics
from app.observability import tracing
from app.stores.transactions_table import COLUMNS
from benchmarks import checking, comparison, sides, traffic
from benchmarks.backlog import SideRun
from benchmarks.comparison import Measured
from benchmarks.traffic import Record

FED = {"transaction_id": "a", "value_in_cents": 5}
PUBLISHED = FED | {
    "revision": 1,
    "status": "accepted",
    "score": 0.9,
    "reason": None,
    "model_version": "m",
    "decided_at": 1,
}
ROW = PUBLISHED | {"bucket": 7, "shard": 1}


def test_what_is_published_once_as_asked_and_stored_as_published_is_right() -> None:
    assert checking.wrong(FED, [PUBLISHED], ROW, once=True) == []


@pytest.mark.parametrize(
    ("published", "row", "what"),
    [
        ([], ROW, "not told"),
        ([PUBLISHED], None, "not in Cassandra"),
        ([PUBLISHED, PUBLISHED], ROW, "published more than once"),
        ([PUBLISHED | {"value_in_cents": 6}], ROW | {"value_in_cents": 6}, "published otherwise than asked"),
        ([PUBLISHED | {"score": None}], ROW | {"score": None}, "never assessed"),
        ([PUBLISHED], ROW | {"status": "rejected"}, "stored otherwise than told"),
        ([PUBLISHED], ROW | {"value_in_cents": 6}, "stored otherwise than told"),
    ],
)
def test_what_is_missing_or_differs_is_wrong(
    published: list[dict[str, Any]], row: dict[str, Any] | None, what: str
) -> None:
    assert checking.wrong(FED, published, row, once=True) == [what]


def test_what_a_row_lacks_of_a_status_is_known_by_name() -> None:
    fields = {field["name"] for field in topics.load_schema(topics.STATUS)["fields"]}
    assert fields - {*COLUMNS} == checking.IN_THE_LOG_ALONE
    beside = dict.fromkeys(checking.IN_THE_LOG_ALONE)
    assert checking.wrong(FED, [PUBLISHED | beside], ROW, once=True) == []


def test_a_side_that_may_publish_again_may_not_say_something_else() -> None:
    later = PUBLISHED | {"decided_at": 2}
    assert checking.wrong(FED, [PUBLISHED, later], ROW, once=False) == []
    other = PUBLISHED | {"score": 0.1, "status": "rejected"}
    assert checking.wrong(FED, [PUBLISHED, other], ROW, once=False) == ["published with two verdicts"]


def run(rate: float, micros: float, part: str, faults: tuple[str, ...] = ()) -> SideRun:
    spent = {part: micros / 1e6 * 1000, "kafka": 0.1, "(the benchmark)": 5.0}
    return SideRun(1000, 1000 / rate, spent, 1.0, 0.5, faults)


def measured(rates: dict[str, tuple[float, ...]], **more: Any) -> list[Measured]:
    return [
        Measured(side, 1000, runs=[run(rate, 50, side.part, **more) for rate in rates[side.group]])
        for side in sides.SIDES
    ]


RATES = {
    "transactions": (5000.0, 5400.0, 5200.0),
    "peer-loop": (5200.0, 5200.0, 5000.0),
    "peer-faststream": (4000.0, 4100.0, 4200.0),
    "peer-quix": (3000.0, 3100.0, 3200.0),
    "peer-plain-faust": (200.0,),
}


def test_a_ratio_is_the_median_of_the_rounds_own_and_cpu_counts_neither_the_benchmark_nor_strangers() -> None:
    figures = {figure.name: figure for figure in comparison.result(measured(RATES), quick=True).figures}
    loop = figures[f"to {sides.LOOP.title}"]
    assert loop.value == pytest.approx(5400 / 5200)
    assert loop.rounds == pytest.approx((5000 / 5200, 5400 / 5200, 5200 / 5000))
    assert not any(figure.missed for figure in figures.values())
    assert figures["CPU of the whole stack"].value == pytest.approx(150)


def test_a_loop_that_a_peer_is_faster_than_is_not_finished() -> None:
    result = comparison.result(measured(RATES | {"peer-quix": (6000.0, 6000.0, 6000.0)}), quick=True)
    assert any(figure.missed and figure.name.startswith(sides.LOOP.title) for figure in result.figures)


def test_a_fault_of_any_run_stands_in_the_result_with_whose_it_was() -> None:
    result = comparison.result(measured(RATES, faults=("2 transactions not told",)), quick=True)
    assert f"{sides.QUIX.title}: 2 transactions not told" in result.faults


def test_of_a_backlog_the_share_that_was_sampled_has_the_header_of_a_trace_each_its_own() -> None:
    records = [Record(0, b"key", b"value", str(number)) for number in range(1000)]
    found = [one.traceparent for one in traffic.sampled(records, 0.01) if one.traceparent]
    assert len(set(found)) == len(found) == 10
    assert all(tracing.trace_id_of([("traceparent", one)]) for one in found)
    assert list(traffic.sampled(records, 0)) == records
