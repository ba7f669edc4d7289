"""No panel is empty: every query of every dashboard and alert returns data from a Prometheus that watches the stack."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from infra.native import stack as real
from infra.native import supervisor
from infra.native.prometheus import targets
from tests.support import promql
from tests.support.dead import whole
from tests.telemetry.conftest import Prometheus

pytestmark = [pytest.mark.telemetry, pytest.mark.usefixtures("load")]

PANELS = promql.of_panels()
ALERTS = promql.of_alerts()
#: Series that are there only while it happens; at other times Prometheus knows the metric by its description.
ONLY_WHILE_IT_HAPPENS = {"payments_partition_held_seconds", "payments_open_transaction_seconds"}
#: Seconds after which a rate has its two samples, the longest window its first, and the last process has started.
WARM = 60.0
#: For what a replica shows once it has had 1,000 transactions, and for an alert of it.
AFTER_A_THOUSAND, DRIFTED = 300.0, 240.0


def warm(expr: str) -> float:
    return AFTER_A_THOUSAND if "payments_antifraud_psi" in promql.metrics_of(expr) else WARM


def eventually(condition: Callable[[], bool], within: float = WARM) -> bool:
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True


def test_every_part_that_has_metrics_is_asked_and_answers(prometheus: Prometheus) -> None:
    wanted = {one["labels"]["instance"] for one in targets(supervisor.names())}
    assert {"bff", "transactions", "antifraud-1", "antifraud-2", "generator", "envoy", "prometheus"} <= wanted

    def answering() -> set[str]:
        active = prometheus.get("targets", state="active")["activeTargets"]
        return {one["labels"]["instance"] for one in active if one["health"] == "up"}

    assert eventually(lambda: answering() == wanted), wanted - answering()


def test_every_alert_is_one_that_prometheus_evaluates(prometheus: Prometheus) -> None:
    rules = [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]
    assert {rule["name"] for rule in rules} == {query.where for query in ALERTS}
    assert eventually(lambda: all(
        rule["health"] == "ok" for group in prometheus.get("rules")["groups"] for rule in group["rules"]
    ))  # fmt: skip


@pytest.mark.parametrize("query", PANELS, ids=[one.where for one in PANELS])
def test_a_panel_has_data(query: promql.Query, prometheus: Prometheus) -> None:
    assert eventually(lambda: bool(prometheus.values(query.expr)), warm(query.expr)), query.expr


@pytest.mark.parametrize("query", ALERTS, ids=[one.where for one in ALERTS])
def test_an_alert_looks_at_data(query: promql.Query, prometheus: Prometheus) -> None:
    if names := promql.metrics_of(query.expr) & ONLY_WHILE_IT_HAPPENS:
        assert eventually(lambda: names <= prometheus.get("metadata").keys())
    else:
        expr = promql.without_comparisons(query.expr)
        assert eventually(lambda: bool(prometheus.values(expr)), warm(expr)), expr


def test_what_prometheus_counts_is_what_happened(prometheus: Prometheus) -> None:
    """Verdicts and end-to-end times are as many as one another, and lie between nothing and a minute."""
    assert eventually(lambda: sum(prometheus.values("sum(payments_verdicts_total)").values()) > 0)
    counts = "sum(payments_end_to_end_seconds_count) - on () sum(payments_verdicts_total)"
    assert eventually(lambda: list(prometheus.values(counts).values()) == [0.0], 20), "counted apart"
    (median,) = prometheus.values(
        "histogram_quantile(0.5, sum by (le) (payments_end_to_end_seconds_bucket))"
    ).values()
    assert 0 < median < 60


def test_nothing_fires_while_all_is_well_and_a_killed_replica_does(prometheus: Prometheus) -> None:
    assert eventually(lambda: not prometheus.alerts()), prometheus.alerts()
    real.kill("antifraud-2")
    try:
        assert eventually(lambda: ("PartDown", "antifraud-2") in prometheus.alerts(), 40)
        assert eventually(lambda: ("AntifraudReplicaDown", "envoy") in prometheus.alerts(), 40)
        assert prometheus.values('up{instance="antifraud-1"}') != {}
    finally:
        whole()
    assert eventually(lambda: not prometheus.alerts()), prometheus.alerts()


def test_the_contracts_traffic_is_not_the_world_of_training_and_that_is_no_fault(
    prometheus: Prometheus,
) -> None:
    assert eventually(lambda: "amount" in prometheus.drifted(), DRIFTED), prometheus.drifted()
    assert "longitude" in prometheus.drifted()
    assert not prometheus.alerts()
