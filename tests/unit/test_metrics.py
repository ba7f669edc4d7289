"""The metrics: named by the rules, listed in docs/metrics.md, counted where things happen."""

import re
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from app.observability import metrics

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "metrics.md").read_text()
METRICS: dict[str, MetricWrapperBase] = {
    name: one for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)
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
}


def full_name(one: MetricWrapperBase) -> str:
    """As Prometheus sees it: the library takes `_total` off."""
    family = next(iter(one.describe()))
    return family.name + ("_total" if isinstance(one, Counter) else "")


def row(one: MetricWrapperBase) -> str:
    """Its line of the table in docs/metrics.md."""
    family = next(iter(one.describe()))
    labels = ", ".join(one._labelnames) or "-"
    return f"| `{full_name(one)}` | {family.type} | {labels} | {family.documentation} |"


def test_the_table_in_the_docs_is_what_is_declared() -> None:
    rows = [line for line in DOCS.splitlines() if line.startswith("| `")]
    assert rows == [row(one) for one in METRICS.values()], "write docs/metrics.md anew"


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_is_named_by_the_rules(name: str) -> None:
    one, full = METRICS[name], full_name(METRICS[name])
    assert re.fullmatch(r"payments_[a-z_]+", full)
    assert isinstance(one, Counter) == full.endswith("_total")
    if isinstance(one, Histogram | Gauge) and "complete" not in full:
        assert full.endswith(("_seconds", "_records", "_in_flight")), "base units"
    assert not re.search(r"_(ms|millis|milliseconds|kb|mb|percent)\b", full)
    assert set(one._labelnames) <= LABELS


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
