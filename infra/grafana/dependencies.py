"""The stores and antifraud, as those see them that use them."""

from __future__ import annotations

from infra.grafana.dashboard import Dashboard, Panel
from infra.grafana.promql import ANTIFRAUD, mean, p50_p99, quantile, rate

SHADOW = "payments_shadow_verdicts_total"

DEPENDENCIES = Dashboard(
    "dependencies",
    "Payments: stores and antifraud",
    [
        Panel(
            "Requests to the stores",
            "ops",
            {
                "{{store}} {{request}} {{outcome}}": rate(
                    "payments_store_seconds_count", "store, request, outcome"
                )
            },
        ),
        Panel(
            "Requests to the stores, p99",
            "s",
            {"{{store}} {{request}}": quantile(0.99, "payments_store_seconds", "store, request")},
        ),
        Panel(
            "Consistency reached at Cassandra",
            "ops",
            {
                "{{request}} {{consistency}}": rate(
                    "payments_cassandra_requests_total", "request, consistency"
                )
            },
            "LOCAL_ONE: fewer replicas live than a quorum.",
        ),
        Panel(
            "Cassandra nodes down",
            "short",
            {"as {{instance}} sees it": "payments_cassandra_nodes_down"},
        ),
        Panel(
            "Who answers GET",
            "ops",
            {"{{store}}": rate("payments_reads_total", "store")},
            "Cassandra: Redis is down, being filled, or does not reach back far enough.",
        ),
        Panel("Redis has all of the newest", "short", {"{{instance}}": "payments_read_model_complete"}),
        Panel(
            "Assessed per second, by replica",
            "ops",
            {"{{replica}}": rate("payments_assessments_total", "replica")},
            stacked=True,
        ),
        Panel(
            "A call to antifraud, through Envoy",
            "s",
            p50_p99("payments_assessment_seconds"),
            "As the worker sees it, Envoy's retries included.",
        ),
        Panel(
            "The same call inside the replica, p99",
            "s",
            {"{{instance}}": quantile(0.99, "payments_antifraud_call_seconds", "instance")},
        ),
        Panel(
            "Transactions per call, mean",
            "short",
            {"worker": mean("payments_assessment_records")},
        ),
        Panel(
            "Rejected, share of each replica",
            "percentunit",
            {
                "{{instance}}": (
                    'sum by (instance) (rate(payments_antifraud_verdicts_total{status="rejected"}[1m])) '
                    "/ sum by (instance) (rate(payments_antifraud_verdicts_total[1m]))"
                )
            },
            "One model, one threshold: the replicas agree but for chance.",
        ),
        Panel(
            "Where a second model disagrees",
            "ops",
            {
                "it would reject": rate(f"{SHADOW}{{status='accepted',shadow='rejected'}}"),
                "it would accept": rate(f"{SHADOW}{{status='rejected',shadow='accepted'}}"),
                "it gives no score": rate(f"{SHADOW}{{shadow='unknown'}}"),
            },
            "Verdicts per second beside those of the model in the shadow (ANTIFRAUD_SHADOW); 0 without one.",
        ),
        Panel(
            "Drift: the highest PSI",
            "short",
            {"{{input}}": "topk(8, max by (input) (payments_antifraud_psi))"},
            "How far what is asked is from training, by input, and for the score. Below 0.1 nothing, above 0.25 much.",
        ),
        Panel(
            "Transactions that PSI is of",
            "short",
            {"{{instance}}": "payments_antifraud_psi_records"},
            "The newest ones, at most 2,000; fewer than 1,000 say nothing.",
        ),
        Panel(
            "Replicas that Envoy sends calls to",
            "short",
            {
                "healthy": f"envoy_cluster_membership_healthy{ANTIFRAUD}",
                "all": f"envoy_cluster_membership_total{ANTIFRAUD}",
            },
        ),
        Panel(
            "Envoy's retries and failures",
            "ops",
            {
                "retried": rate(f"envoy_cluster_upstream_rq_retry{ANTIFRAUD}"),
                "ejected": f"sum(envoy_cluster_outlier_detection_ejections_active{ANTIFRAUD})",
            },
            width=12,
        ),
        Panel(
            "Model of each replica",
            "short",
            {"{{instance}} {{model_version}} threshold {{threshold}}": "payments_antifraud_model_info"},
            "Two versions at once: a roll-out under way, or a mistake.",
            width=12,
        ),
    ],
)
