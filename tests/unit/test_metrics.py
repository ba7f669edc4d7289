"""The metrics: named by the rules, listed in docs/metrics.md, counted where things happen."""

import asyncio
import contextlib
import re
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase

import antifraud.metrics
import app
import generator.metrics
from app.observability import metrics, timing
from app.observability.batch_histogram import BatchHistogram

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "metrics.md").read_text()


def declared(module: ModuleType) -> dict[str, Any]:
    """The metrics of a module, in its order."""
    return {
        name: one for name, one in vars(module).items() if isinstance(one, MetricWrapperBase | BatchHistogram)
    }


METRICS = declared(metrics)
EVERYWHERE = [
    one for module in (metrics, antifraud.metrics, generator.metrics) for one in declared(module).values()
]
OUTCOMES = ("ok", "failed")
#: Gauges that are a yes or no, or a number of things.
WITHOUT_UNIT = {
    "payments_antifraud_model_info",
    "payments_antifraud_psi",
    "payments_build_info",
    "payments_cassandra_nodes_down",
    "payments_dependency_up",
    "payments_read_model_complete",
}
#: What a label may be: words of ours, never an id or a client's text.
LABELS = {
    "method",
    "path",
    "status",
    "store",
    "topic",
    "step",
    "partition",
    "reason",
    "request",
    "consistency",
    "replica",
    "outcome",
    "label",
    "dependency",
    "version",
    "python",
    "model_version",
    "threshold",
    "shadow",
    "input",
}


def full_name(one: Any) -> str:
    """As Prometheus sees it: the library takes `_total` off."""
    name: str = next(iter(one.describe())).name
    return name + ("_total" if isinstance(one, Counter) else "")


def labels_of(one: Any) -> tuple[str, ...]:
    return getattr(one, "_labelnames", ())


def row(one: Any) -> str:
    """Its line of the table in docs/metrics.md."""
    family = next(iter(one.describe()))
    labels = ", ".join(labels_of(one)) or "-"
    return f"| `{full_name(one)}` | {family.type} | {labels} | {family.documentation} |"


def test_the_table_in_the_docs_is_what_is_declared() -> None:
    rows = [line for line in DOCS.splitlines() if line.startswith("| `")]
    assert rows == [row(one) for one in EVERYWHERE], "write docs/metrics.md anew"


@pytest.mark.parametrize("one", EVERYWHERE, ids=full_name)
def test_a_metric_is_named_by_the_rules(one: Any) -> None:
    full = full_name(one)
    assert re.fullmatch(r"payments_[a-z_]+", full)
    assert isinstance(one, Counter) == full.endswith("_total")
    if isinstance(one, Histogram | Gauge | BatchHistogram) and full not in WITHOUT_UNIT:
        assert full.endswith(("_seconds", "_records", "_in_flight")), "base units"
    assert not re.search(r"_(ms|millis|milliseconds|kb|mb|percent)\b", full)
    assert set(labels_of(one)) <= LABELS


def test_every_metric_is_used_and_none_is_made_elsewhere() -> None:
    sources = {path: path.read_text() for path in (ROOT / "app").rglob("*.py")}
    for name in METRICS:
        assert any(f"metrics.{name}" in text for text in sources.values()), name
    makers = [
        str(p.relative_to(ROOT))
        for p, text in sources.items()
        if re.search(r"\b(Counter|Gauge|Histogram)\(f?\"", text)
    ]
    assert makers == ["app/observability/metrics.py"]


@pytest.mark.parametrize("package", [app, antifraud, generator], ids=lambda package: package.__name__)
def test_the_version_is_the_one_of_the_project(package: ModuleType) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert package.__version__ == project["version"]


def test_a_batch_of_values_is_counted_as_value_by_value() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    # numbers that add up exactly in any order
    bounds, values = (0.015625, 0.5, 2.0), [0.5, 3.0, 0.0078125, 0.015625, 0.5, 1.75, 0.0]
    together = BatchHistogram("payments_x_seconds", "x", bounds, ours)
    alone = Histogram("payments_x_seconds", "x", registry=theirs, buckets=bounds)
    for some in (values, [], values[:3]):
        together.observe_all(some)
        for value in some:
            alone.observe(value)
        assert generate_latest(ours) == generate_latest(theirs)
    together.observe_all([-0.003])
    alone.observe(0)
    assert generate_latest(ours) == generate_latest(theirs)


def counted(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


def test_a_step_under_way_counts_as_busy_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    registry = CollectorRegistry()
    busy = Counter("busy_seconds_total", "x", registry=registry)
    with timing.Running(busy):
        clock[0] = 160.0
        timing.settle()
        assert counted(registry, "busy_seconds_total") == 60
        clock[0] = 161.0
    timing.settle()
    assert counted(registry, "busy_seconds_total") == 61


def test_a_duration_is_counted_by_its_outcome_and_a_cancelled_one_not_at_all() -> None:
    registry = CollectorRegistry()
    seconds = Histogram("seconds", "x", ("store", "outcome"), registry=registry)
    for kind in (None, ValueError, asyncio.CancelledError):
        with contextlib.suppress(ValueError, asyncio.CancelledError), timing.Timed(seconds, "redis"):
            if kind:
                raise kind
    counts = {
        outcome: counted(registry, "seconds_count", store="redis", outcome=outcome) for outcome in OUTCOMES
    }
    assert counts == {"ok": 1, "failed": 1}
    assert generate_latest(registry).count(b"seconds_count") == 2
