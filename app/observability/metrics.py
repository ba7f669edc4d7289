"""Every metric, declared once; docs/metrics.md lists them (a test holds the two equal).

Counted where things happen, a batch at a time. Names: one prefix, base units, `_total` on counters; no label ever holds
an id or a text of a client.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, of no use here
REGISTRY = CollectorRegistry()


def _counter(name: str, help_: str, *labels: str) -> Counter:
    return Counter(f"payments_{name}", help_, labels, registry=REGISTRY)


def _gauge(name: str, help_: str, *labels: str) -> Gauge:
    return Gauge(f"payments_{name}", help_, labels, registry=REGISTRY)


def _histogram(name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"payments_{name}", help_, labels, registry=REGISTRY, buckets=buckets)


_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_RECORDS = (1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0, 2000.0, 5000.0)

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
    "1 while Redis has all of the newest transactions, else GET asks Cassandra",
    "store",  # so that a worker without a read model does not say 0
)

# Batches
BATCH_RECORDS = _histogram("batch_records", "Records that went through the steps together", _RECORDS, "topic")
STEP_SECONDS = _histogram("step_seconds", "Time of one try of a step that worked", _SECONDS, "step")
RETRIES = _counter("step_retries_total", "Tries of a step that failed and were repeated", "step")
LAG = _gauge("lag_records", "Records of an assigned partition that are not finished", "topic", "partition")
OLDEST = _gauge(
    "oldest_record_seconds", "Age of the oldest record in hand, 0 when there is none", "topic", "partition"
)
HELD = _gauge(
    "partition_held_seconds",
    "How long the partition has stood before a batch that cannot be read",
    "topic",
    "partition",
)
OPEN_TRANSACTION = _gauge(
    "open_transaction_seconds",
    "How long what is behind an open transaction has been waited for",
    "topic",
    "partition",
)

# Transactions
VERDICTS = _counter(
    "verdicts_total",
    "Verdicts published, by status and reason (antifraud_unavailable: nobody could be asked)",
    "status",
    "reason",
)
REPEATED = _counter(
    "verdicts_repeated_total", "Verdicts found in the log and repeated instead of asked for again"
)
DUPLICATES_SKIPPED = _counter(
    "duplicates_skipped_total",
    "Records of a transaction_id that is decided already, of the same content: passed over",
)
OTHER_CONTENT = _counter(
    "other_content_total",
    "Records of a transaction_id that is decided already, for other content: dead letters",
)
DEAD_LETTERS = _counter("dead_letters_total", "Records that nobody can handle, put aside")
DEAD_LETTERS_HELD = _gauge(
    "dead_letters_held_records", "Dead letters held back since they are too many, 0 when the worker goes on"
)
UNREADABLE_STATUSES = _counter(
    "unreadable_statuses_total", "Records of transaction_status that are no status, passed over"
)
CASSANDRA_REQUESTS = _counter(
    "cassandra_requests_total",
    "Requests that Cassandra did (write, read), by the consistency level reached",
    "request",
    "consistency",
)
