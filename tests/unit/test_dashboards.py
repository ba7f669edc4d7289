"""Dashboards and alerts: the files are current, they name metrics that exist and sections that can be read."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.grafana.__main__ import DASHBOARDS
from infra.grafana.dashboard import FOLDER, as_text
from tests.support import promql
from tests.unit.test_metrics import EVERYWHERE, full_name

ROOT = Path(__file__).parents[2]
#: Metrics of others: Prometheus' own, every process', Envoy's.
FOREIGN = {
    "up",
    "ALERTS",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "envoy_cluster_membership_healthy",
    "envoy_cluster_membership_total",
    "envoy_cluster_upstream_rq_retry",
    "envoy_cluster_outlier_detection_ejections_active",
}
QUERIES = [*promql.of_panels(), *promql.of_alerts()]
TESTS = yaml.safe_load((promql.RULES.parent / "alerts_test.yml").read_text())["tests"]


def declared() -> set[str]:
    """Every series name that our code makes."""
    names = set()
    for one in EVERYWHERE:
        name, kind = full_name(one), next(iter(one.describe())).type
        names |= {f"{name}_{end}" for end in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return names


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda one: one.name)
def test_a_dashboards_file_is_what_its_description_says(dashboard: Any) -> None:
    assert (FOLDER / f"{dashboard.name}.json").read_text() == as_text(dashboard), (
        "write it anew: make dashboards"
    )


def test_there_is_no_file_without_a_description() -> None:
    assert {path.stem for path in promql.DASHBOARDS} == {one.name for one in DASHBOARDS}


@pytest.mark.parametrize("query", QUERIES, ids=[one.where for one in QUERIES])
def test_a_query_names_metrics_that_exist(query: promql.Query) -> None:
    named = promql.metrics_of(query.expr)
    assert named
    assert named - declared() - FOREIGN == set()


def test_what_is_not_a_metric_is_not_taken_for_one() -> None:
    expr = 'sum by (le, a) (rate(x_total{b="c_total",path=~"/d.*"}[5m])) / on (e) group_left (f) y or vector(0) > 0.5'
    assert promql.metrics_of(expr) == {"x_total", "y"}
    assert promql.without_comparisons("sum(a) > 0 and rate(b[1m]) == 0.5") == "sum(a) and rate(b[1m])"


def test_every_metric_that_is_declared_is_shown_or_watched() -> None:
    """One that nobody looks at costs, and says nothing."""
    named = set().union(*(promql.metrics_of(query.expr) for query in QUERIES))
    stems = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named} | named
    assert {full_name(one) for one in EVERYWHERE} - stems == NOT_SHOWN


NOT_SHOWN = {"payments_build_info"}  # a label, not a curve


@pytest.mark.parametrize("path", promql.DASHBOARDS, ids=lambda path: path.stem)
def test_no_two_panels_lie_on_each_other_and_each_has_a_unit(path: Path) -> None:
    panels = json.loads(path.read_text())["panels"]
    fields = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert max(Counter(fields).values()) == 1
    assert max(x for x, _ in fields) < 24
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels)


def anchors(text: str) -> set[str]:
    """The sections of a page, as GitHub links to them."""
    heads = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("rule", promql.rules(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_bad_it_is_and_where_it_says_what_to_do(rule: dict[str, Any]) -> None:
    page, _, section = rule["annotations"]["runbook_url"].partition("#")
    assert section in anchors((ROOT / page).read_text())
    assert rule["labels"]["severity"] in ("page", "ticket", "info")


@pytest.mark.parametrize("rule", promql.rules(), ids=lambda rule: rule["alert"])
def test_an_alert_is_seen_to_fire_and_to_stay_quiet(rule: dict[str, Any]) -> None:
    """tests/telemetry runs these cases with promtool."""
    cases = [case for test in TESTS for case in test["alert_rule_test"] if case["alertname"] == rule["alert"]]
    assert {bool(case["exp_alerts"]) for case in cases} == {True, False}


def test_the_links_within_the_page_of_operations_lead_somewhere() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= anchors(text)
