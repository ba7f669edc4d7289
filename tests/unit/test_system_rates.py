"""Rates, shares, quantiles and the charts, from what the workers count."""

from __future__ import annotations

import json
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from app.system import rates, samples, series
from app.system.parts import Mark
from app.system.samples import Key
from app.system.series import KEPT, POINTS_MOST, Series, point

POST = {"method": "POST", "path": "/api/v1/transactions"}


def key(name: str, **labels: str) -> Key:
    return name, tuple(sorted(labels.items()))


def posts(count: int, status: str = "201") -> dict[Key, float]:
    """So many POSTs, each in 5 to 10 ms."""
    found = {key("payments_http_request_seconds_count", **POST, status=status): float(count)}
    for le, below in (("0.005", 0), ("0.01", count), ("0.025", count), ("+Inf", count)):
        labels = {**POST, "status": status, "le": le}
        found[key("payments_http_request_seconds_bucket", **labels)] = float(below)
    return found


# Reading what a worker says


def worker() -> CollectorRegistry:
    registry = CollectorRegistry()
    requests = Histogram(
        "payments_http_request_seconds",
        "…",
        ("method", "path", "status"),
        registry=registry,
        buckets=(0.01, 1.0),
    )
    for method in ("GET", "POST"):
        requests.labels(method, "/api/v1/transactions", "201").observe(0.5)
    verdicts = Counter("payments_verdicts_total", "…", ("status", "reason"), registry=registry)
    verdicts.labels("rejected", 'a "reason", {quoted}').inc(7)
    verdicts.labels("accepted", "").inc(0)
    Counter("payments_of_no_use_total", "…", registry=registry).inc(3)
    return registry


def test_a_workers_text_and_our_own_registry_say_the_same_and_only_what_is_wanted() -> None:
    found = samples.of_text(generate_latest(worker()).decode())
    assert found == samples.of_registry(worker())
    assert samples.by_label(found, "payments_verdicts_total", "reason") == {'a "reason", {quoted}': 7}
    assert {name for name, _ in found} == {
        "payments_verdicts_total",
        "payments_http_request_seconds_count",
        "payments_http_request_seconds_bucket",
    }
    assert samples.total(found, "payments_http_request_seconds_bucket", method="GET") == 0


def test_the_names_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "SERIES_MOST", 10)
    for number in range(100):
        samples.of_text(f'payments_reads_total{{store="{number}"}} 1.0')
    assert len(samples._keys) <= 10


def test_what_lies_between_two_looks_is_counted_also_when_the_worker_began_anew() -> None:
    reads = key("payments_reads_total", store="redis")
    assert samples.risen({reads: 5.0}, {reads: 7.0}) == {reads: 2.0}
    assert samples.risen({}, {reads: 7.0}) == {reads: 7.0}
    assert samples.risen({reads: 50.0}, {reads: 3.0}) == {reads: 3.0}


# Quantiles


@pytest.mark.parametrize(
    ("q", "expected"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (0.95, 4.0), (1.0, 4.0)]
)
def test_a_quantile_is_interpolated_within_its_bucket_and_never_beyond_the_last_bound(
    q: float, expected: float
) -> None:
    # 50 below 1, 25 from 1 to 2, 15 from 2 to 4, 10 above
    assert samples.quantile([(1.0, 50), (2.0, 75), (4.0, 90), (float("inf"), 100)], q) == pytest.approx(
        expected
    )


def test_of_nothing_there_is_no_quantile() -> None:
    assert samples.quantile([], 0.5) is None
    assert samples.quantile([(1.0, 0.0), (float("inf"), 0.0)], 0.5) is None
    assert samples.quantiles({}, "payments_end_to_end_seconds", (0.5, 0.99)) == [None, None]


# The charts


def test_a_point_has_the_rates_and_latencies_of_its_own_seconds() -> None:
    risen = posts(20) | {key("payments_verdicts_total", status="accepted", reason=""): 10.0}
    one = point(1000.0, 2.0, risen, 3)
    assert (one.posts, one.verdicts, one.lag, one.retries) == (10.0, 5.0, 3, 0.0)
    assert [one.post_p50, one.post_p99] == pytest.approx([0.0075, 0.00995])
    assert (one.end_to_end_p50, one.end_to_end_p99) == (None, None)


def test_a_refused_post_is_no_arrival_and_counts_in_the_latency() -> None:
    one = point(1000.0, 1.0, posts(4, status="503"), None)
    assert [one.posts, one.post_p50] == pytest.approx([0.0, 0.0075])


def test_the_charts_hold_fifteen_minutes_however_often_it_is_looked() -> None:
    charts = Series()
    for number in range(5000):
        charts.add(point(number * 0.1, 0.1, {}, 0))
    document = charts.document(1.0, [Mark(0.0, "redis", "down"), Mark(499.0, "redis", "up")])
    assert len(document["at"]) == POINTS_MOST
    assert document["marks"] == [{"at": 499.0, "part": "redis", "state": "up"}]
    for number in range(300):
        charts.add(point(500 + number * 5.0, 5.0, {}, 0))
    at = charts.document(5.0, [])["at"]
    assert at[-1] - at[0] <= KEPT
    assert len(at) == KEPT / 5 + 1


def test_every_column_of_the_charts_is_as_long_as_the_times() -> None:
    charts = Series()
    assert charts.document(5.0, []) == {"every": 5.0, **{name: [] for name in series.NAMES}, "marks": []}
    charts.add(point(1.0, 1.0, posts(1), None))
    document = charts.document(1.0, [])
    assert {len(document[name]) for name in series.NAMES} == {1}
    assert json.loads(json.dumps(document)) == document


# The rates


def test_the_steps_shares_add_up_to_one_whatever_was_counted() -> None:
    rate = {
        key(rates.BUSY, step="decide"): 0.25,
        key(rates.BUSY, step="store"): 1.7,  # a try of several seconds is counted at its end
        key(rates.WAITING, step="store"): 0.9,
        key(rates.WAITING, step="publish"): 0.5,
    }
    found = {one["step"]: one for one in rates.steps({"transactions": rate})}
    assert found["decide"] == {
        "worker": "transactions", "step": "decide", "busy": 0.25, "waiting": 0.0, "idle": 0.75
    }  # fmt: skip
    assert (found["store"]["busy"], found["store"]["waiting"]) == (1.0, 0.0)
    assert found["publish"]["idle"] == 0.5
    assert all(one["busy"] + one["waiting"] + one["idle"] == pytest.approx(1) for one in found.values())


def test_arrows_replicas_and_consistency_come_from_all_workers_together() -> None:
    window = rates.Window()
    bff = posts(10) | {key("payments_reads_total", store="redis"): 4.0}
    worker = {
        key("payments_assessments_total", replica="antifraud-1"): 6.0,
        key("payments_assessments_total", replica="antifraud-2"): 4.0,
        key("payments_cassandra_requests_total", request="write", consistency="LOCAL_QUORUM"): 2.0,
        key("payments_cassandra_requests_total", request="write", consistency="LOCAL_ONE"): 1.0,
    }
    window.add(1.0, 2.0, {"bff": bff, "transactions": worker})
    rate = samples.added(window.by_worker().values())
    found = {(one["from"], one["to"]): one["per_second"] for one in rates.arrows(rate)}
    assert found["client", "bff"] == found["bff", "kafka"] == 5.0
    assert found["envoy", "antifraud-1"] == 3.0
    assert (found["transactions", "envoy"], found["bff", "redis"], found["transactions", "cassandra"]) == (
        5,
        2,
        1.5,
    )
    assert rates.assessed_by(rate) == {"antifraud-1": 3.0, "antifraud-2": 2.0}
    assert rates.consistency(rate) == {"write": {"QUORUM": 1.0, "ONE": 0.5}, "read": {}}


def test_rates_are_those_of_the_last_five_seconds() -> None:
    window = rates.Window()
    for second in range(100):
        window.add(float(second), 1.0, {"bff": posts(100 if second < 90 else 0)})
    assert rates.calls(samples.added(window.by_worker().values())) == 0


def test_nothing_counted_yet_is_no_division_by_zero() -> None:
    assert rates.Window().by_worker() == {}
    arrows: list[dict[str, Any]] = rates.arrows({})
    assert {one["per_second"] for one in arrows} == {0}
