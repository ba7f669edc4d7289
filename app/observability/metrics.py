"""Every metric, declared once; docs/metrics.md lists them (a test holds the two equal).

Counted where things happen, a batch at a time. Names: one prefix, base units, `_total` on counters; no label ever holds
an id or a text of a client.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)

from app.observability.batch_histogram import BatchHistogram

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, of no use here
REGISTRY = CollectorRegistry()
ProcessCollector(
    registry=REGISTRY
)  # CPU, memory, open files, under the names that every process has them (process_…)


def _counter(name: str, help_: str, *labels: str) -> Counter:
    return Counter(f"payments_{name}", help_, labels, registry=REGISTRY)


def _gauge(name: str, help_: str, *labels: str) -> Gauge:
    return Gauge(f"payments_{name}", help_, labels, registry=REGISTRY)


def _histogram(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"payments_{name}", help_, labels, registry=REGISTRY, buckets=buckets)


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RECORDS = (1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0)
#: Finest where an idle system is; as far as a backlog after an outage goes.
_END_TO_END = (
    *(0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0),
)

BUILD_INFO = _gauge("build_info", "1; which version runs on which Python", "version", "python")

# HTTP
REQUEST_SECONDS = _histogram(
    "http_request_seconds",
    "Time to answer a request; its _count by status is the number of answers",
    _SECONDS,
    "method",
    "path",
    "status",
)
IN_FLIGHT = _gauge("kafka_records_in_flight", "Records of POSTs that wait for Kafka's acknowledgement")
READS = _counter("reads_total", "GETs by the store that answered (redis, cassandra)", "store")
READ_MODEL_COMPLETE = _gauge(
    "read_model_complete",
    "1 while Redis has all of the newest transactions; at 0, GET reads Cassandra",
    "store",  # so that a worker without a read model does not say 0
)
EVENT_CLIENTS = _gauge("event_streams_in_flight", "Clients that listen to the events of transactions")
EVENT_GAPS = _counter(
    "event_gaps_total",
    "Clients that were told that they have missed events, since they were too slow or away",
)

# Batches
BATCH_RECORDS = _histogram("batch_records", "Records per micro-batch", _RECORDS, "topic")
STEP_SECONDS = _histogram("step_seconds", "Duration of a successful try of a step", _SECONDS, "step")
STEP_BUSY = _counter(
    "step_busy_seconds_total",
    "Time that a step was at work, failed tries and the one under way included",
    "step",
)
STEP_WAITING = _counter(
    "step_waiting_seconds_total", "Time that a step paused between a failed try and the next", "step"
)
RETRIES = _counter("step_retries_total", "Failed tries of a step, each followed by a retry", "step")
LAG = _gauge("lag_records", "Records of an assigned partition not processed yet", "topic", "partition")
OLDEST = _gauge(
    "oldest_record_seconds", "Age of the oldest record in progress, 0 if none", "topic", "partition"
)
HELD = _gauge(
    "partition_held_seconds",
    "How long the partition has been held at a batch that cannot be read",
    "topic",
    "partition",
)
OPEN_TRANSACTION = _gauge(
    "open_transaction_seconds",
    "How long the partition has waited for an open transaction to end",
    "topic",
    "partition",
)

# Transactions
END_TO_END = BatchHistogram(
    "payments_end_to_end_seconds",
    "From the event (the time in a transaction's id) to its published first verdict",
    _END_TO_END,
    REGISTRY,
)
VERDICTS = _counter(
    "verdicts_total",
    "Verdicts published, by status and reason (antifraud_unavailable: no replica answered)",
    "status",
    "reason",
)
SHADOW_VERDICTS = _counter(
    "shadow_verdicts_total",
    "Verdicts published beside which a second model was asked, by status and by what it says (unknown: no score)",
    "status",
    "shadow",
)
REPEATED = _counter(
    "verdicts_repeated_total", "Verdicts found in the log and repeated instead of assessed again"
)
DUPLICATES_SKIPPED = _counter(
    "duplicates_skipped_total",
    "Records dropped because their transaction_id is already decided, with the same content",
)
OTHER_CONTENT = _counter(
    "other_content_total",
    "Records dead-lettered because their transaction_id is already decided, with other content",
)
DEAD_LETTERS = _counter(
    "dead_letters_total", "Records that could not be processed, written to the dead-letter topic"
)
DEAD_LETTERS_HELD = _gauge(
    "dead_letters_held_records", "Dead letters held because there are too many, 0 while the worker runs on"
)
UNREADABLE_STATUSES = _counter(
    "unreadable_statuses_total", "Records of transaction_status that cannot be read as a status, skipped"
)
LABELS = _counter(
    "labels_total", "Records of transaction_label stored, by label (unreadable: no label, skipped)", "label"
)

# Antifraud, as the worker sees it
ASSESSMENTS = _counter("assessments_total", "Transactions assessed, by the replica that answered", "replica")
ASSESSMENT_RECORDS = _histogram("assessment_records", "Transactions per call to antifraud", _RECORDS)
ASSESSMENT_SECONDS = _histogram(
    "assessment_seconds", "Duration of a call to antifraud, Envoy's retries included", _SECONDS, "outcome"
)

# Stores and other dependencies
STORE_SECONDS = _histogram(
    "store_seconds",
    "Duration of a request to a store (read, write, and compare_and_set for an Idempotency-Key)",
    _SECONDS,
    "store",
    "request",
    "outcome",
)
DEPENDENCY_UP = _gauge(
    "dependency_up", "1 while the dependency answers this worker and can be used, else 0", "dependency"
)
CASSANDRA_NODES_DOWN = _gauge("cassandra_nodes_down", "Cassandra nodes that the driver considers down")
CASSANDRA_REQUESTS = _counter(
    "cassandra_requests_total",
    "Successful requests to Cassandra (write, read), by the consistency level reached",
    "request",
    "consistency",
)
