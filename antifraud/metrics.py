"""A replica's metrics for Prometheus, on a port of their own; docs/metrics.md lists them."""

from __future__ import annotations

import logging
import platform
import time
from collections.abc import Mapping
from types import TracebackType

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from antifraud import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

BUILD_INFO = Gauge(
    "payments_build_info", "1; which version runs on which Python", ("version", "python"), registry=REGISTRY
)
MODEL_INFO = Gauge(
    "payments_antifraud_model_info",
    "1; which model a replica has, and below which score it rejects",
    ("model_version", "threshold"),
    registry=REGISTRY,
)
CALL_SECONDS = Histogram(
    "payments_antifraud_call_seconds",
    "Duration of a call in the replica, by method (one, batch) and outcome",
    ("method", "outcome"),
    registry=REGISTRY,
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0),
)
VERDICTS = Counter(
    "payments_antifraud_verdicts_total", "Transactions assessed, by verdict", ("status",), registry=REGISTRY
)
PSI = Gauge(
    "payments_antifraud_psi",
    "Population stability index of an input, or of the score, against training; none of too few transactions",
    ("model_version", "input"),
    registry=REGISTRY,
)
PSI_RECORDS = Gauge(
    "payments_antifraud_psi_records",
    "The newest transactions, of which payments_antifraud_psi is, once they are 1,000",
    ("model_version",),
    registry=REGISTRY,
)

log = logging.getLogger("antifraud")


class Call:
    """Measures a call; what raises has failed."""

    def __init__(self, method: str):
        self._method = method

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        outcome = "failed" if kind else "ok"
        CALL_SECONDS.labels(self._method, outcome).observe(time.monotonic() - self._began)


def count(assessed: int, rejected: int) -> None:
    """The verdicts of a call."""
    VERDICTS.labels("rejected").inc(rejected)
    VERDICTS.labels("accepted").inc(assessed - rejected)


def drifted(model_version: str, records: int, psi: Mapping[str, float]) -> None:
    """How far the newest transactions are from those of training."""
    PSI_RECORDS.labels(model_version).set(records)
    for name, value in psi.items():
        PSI.labels(model_version, name).set(value)
    if not psi:
        PSI.clear()


def serve(host: str, port: int, model_version: str, threshold: float) -> None:
    """Serve /metrics in a thread; a replica whose port is taken assesses all the same."""
    BUILD_INFO.labels(__version__, platform.python_version()).set(1)
    MODEL_INFO.labels(model_version, f"{threshold:g}").set(1)
    for status in ("accepted", "rejected"):
        VERDICTS.labels(status)
    try:
        start_http_server(port, host, REGISTRY)
    except OSError as error:
        log.error("no metrics: cannot listen on %s:%d (%s)", host, port, error.strerror)
