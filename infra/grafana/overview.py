"""What one looks at first: is it fast, does it keep up, does anything fail, what is full."""

from __future__ import annotations

from infra.grafana.dashboard import Dashboard, Panel
from infra.grafana.promql import ERROR_SHARE, HTTP, POST, p50_p99, rate

OVERVIEW = Dashboard(
    "overview",
    "Payments: overview",
    [
        Panel(
            "Transactions per second",
            "ops",
            {
                "acknowledged (201)": rate(f"{HTTP}_count{POST}"),
                "verdict: {{status}}": rate("payments_verdicts_total", "status"),
            },
            "What came in, and what was decided. Both lines together: it keeps up.",
        ),
        Panel(
            "From event to published verdict",
            "s",
            p50_p99("payments_end_to_end_seconds"),
            "The client's way, but for the last step to Redis.",
        ),
        Panel("POST until 201", "s", p50_p99(HTTP, "", POST)),
        Panel(
            "Answers that are our errors",
            "percentunit",
            {"5xx of all answers under /api": ERROR_SHARE},
            "Over five minutes, as the alert ErrorRatio has it.",
        ),
        Panel(
            "Waiting records",
            "short",
            {"{{topic}}": "sum by (topic) (payments_lag_records)"},
            "Lag: written to the topic and not processed yet.",
        ),
        Panel(
            "Age of the oldest waiting record",
            "s",
            {"{{topic}}": "max by (topic) (payments_oldest_record_seconds)"},
        ),
        Panel(
            "What answers",
            "short",
            {"{{instance}}": "up"},
            "1: Prometheus could ask it. The servers are beside it: as seen by the workers that use them.",
        ),
        Panel(
            "Dependencies that can be used",
            "short",
            {"{{dependency}}": "min by (dependency) (payments_dependency_up)"},
            "0: a worker cannot use it.",
        ),
        Panel(
            "Alerts firing",
            "short",
            {
                "{{alertname}}": 'count by (alertname) (ALERTS{alertstate="firing"}) or vector(0)',
            },
            "docs/operations.md says what to do about each.",
        ),
        Panel(
            "CPU, in cores",
            "short",
            {"{{instance}}": rate("process_cpu_seconds_total", "instance")},
            stacked=True,
            width=12,
        ),
        Panel("Memory", "bytes", {"{{instance}}": "process_resident_memory_bytes"}, stacked=True, width=12),
    ],
)
