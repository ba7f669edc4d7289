"""What clients ask and get."""

from __future__ import annotations

from infra.grafana.dashboard import Dashboard, Panel
from infra.grafana.promql import API, ERRORS, HTTP, POST, p50_p99, quantile, rate

HTTP_CALLS = Dashboard(
    "http",
    "Payments: HTTP",
    [
        Panel(
            "Answers per second",
            "reqps",
            {"{{method}} {{path}} {{status}}": rate(f"{HTTP}_count{API}", "method, path, status")},
            width=12,
        ),
        Panel(
            "Answers, p99", "s", {"{{method}} {{path}}": quantile(0.99, HTTP, "method, path", API)}, width=12
        ),
        Panel("POST until 201", "s", p50_p99(HTTP, "", POST)),
        Panel(
            "A POST as the generator sees it",
            "s",
            p50_p99("payments_generator_post_seconds"),
            "The client's side of the same call; more than ours is the network, or the client is busy.",
        ),
        Panel(
            "Answers to the generator",
            "reqps",
            {"{{status}}": rate("payments_generator_post_seconds_count", "status")},
            "0: no answer.",
        ),
        Panel(
            "Errors of ours",
            "reqps",
            {"5xx": f"{rate(f'{HTTP}_count{ERRORS}')} or vector(0)"},
        ),
        Panel(
            "POSTs that wait for Kafka",
            "short",
            {"{{instance}}": 'payments_kafka_records_in_flight{job=~"bff|main"}'},
        ),
        Panel(
            "Clients that listen to events",
            "short",
            {"{{instance}}": 'payments_event_streams_in_flight{job=~"bff|main"}'},
        ),
        Panel(
            "Gaps that such clients were told of",
            "ops",
            {"gaps": rate("payments_event_gaps_total")},
            "A client was away or too slow, and has to load the list again.",
        ),
        Panel("Open files and connections", "short", {"{{instance}}": "process_open_fds"}),
    ],
)
