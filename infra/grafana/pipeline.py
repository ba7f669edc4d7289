"""The steps of a micro-batch, and what waits for them."""

from __future__ import annotations

from infra.grafana.dashboard import Dashboard, Panel
from infra.grafana.promql import mean, quantile, rate

PIPELINE = Dashboard(
    "pipeline",
    "Payments: steps and lag",
    [
        Panel(
            "Steps: busy",
            "percentunit",
            {"{{instance}} {{step}}": rate("payments_step_busy_seconds_total", "instance, step")},
            "Share of the time at work; a step near 1 is the bottleneck. What is missing to 1 it waits or is idle.",
        ),
        Panel(
            "Steps: waiting after a failure",
            "percentunit",
            {"{{instance}} {{step}}": rate("payments_step_waiting_seconds_total", "instance, step")},
            "Pauses between a failed try and the next: a dependency is down.",
        ),
        Panel(
            "Failed tries of a step",
            "ops",
            {"{{step}}": rate("payments_step_retries_total", "step")},
            "Each is followed by another; nothing is lost.",
        ),
        Panel(
            "A step's duration, p99",
            "s",
            {"{{step}}": quantile(0.99, "payments_step_seconds", "step")},
        ),
        Panel(
            "Records per micro-batch, mean", "short", {"{{topic}}": mean("payments_batch_records", "topic")}
        ),
        Panel(
            "Micro-batches per second", "ops", {"{{topic}}": rate("payments_batch_records_count", "topic")}
        ),
        Panel(
            "Lag by partition",
            "short",
            {"{{topic}}[{{partition}}]": "sum by (topic, partition) (payments_lag_records)"},
        ),
        Panel(
            "Lag: trend, in records per second",
            "short",
            {"{{topic}}": "sum by (topic) (deriv(payments_lag_records[2m]))"},
            "Above 0 it grows.",
        ),
        Panel(
            "Oldest record by partition",
            "s",
            {"{{topic}}[{{partition}}]": "max by (topic, partition) (payments_oldest_record_seconds)"},
        ),
        Panel(
            "Verdicts that were not new",
            "ops",
            {
                "repeated from the log": rate("payments_verdicts_repeated_total"),
                "duplicates skipped": rate("payments_duplicates_skipped_total"),
                "same id, other content": rate("payments_other_content_total"),
            },
            "After a restart or a rebalance verdicts are found in the log and repeated, not made again.",
        ),
        Panel(
            "Labels",
            "short",
            {"{{label}}": "sum by (label) (increase(payments_labels_total[15m]))"},
            "Stored within 15 minutes: fraud, genuine, and records that are no labels.",
        ),
        Panel(
            "Dead letters",
            "short",
            {
                "written within 15 minutes": "sum(increase(payments_dead_letters_total[15m]))",
                "held": "sum(payments_dead_letters_held_records)",
            },
        ),
        Panel(
            "Held partitions",
            "s",
            {
                "batch that cannot be read: {{topic}}[{{partition}}]": (
                    "max by (topic, partition) (payments_partition_held_seconds) or vector(0)"
                ),
                "open transaction: {{topic}}[{{partition}}]": (
                    "max by (topic, partition) (payments_open_transaction_seconds) or vector(0)"
                ),
            },
        ),
    ],
)
