"""What the generator has sent and how long it waited, for Prometheus, on a port of its own; see docs/metrics.md."""

from __future__ import annotations

import os
import platform
import sys

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    start_http_server,
)

from generator import __version__

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)

BUILD_INFO = Gauge(
    "payments_build_info", "1; which version runs on which Python", ("version", "python"), registry=REGISTRY
)
POST_SECONDS = Histogram(
    "payments_generator_post_seconds",
    "Time until a POST was answered, as its client saw it; status 0: no answer",
    ("status",),
    registry=REGISTRY,
    buckets=(0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
)


def serve(port: int) -> None:
    """Serve /metrics in a thread; SystemExit with one line when the port is taken."""
    host = os.environ.get("GENERATOR_LISTEN_HOST") or "127.0.0.1"
    BUILD_INFO.labels(__version__, platform.python_version()).set(1)
    try:
        start_http_server(port, host, REGISTRY)
    except OSError as error:
        sys.exit(f"generator: cannot serve metrics on {host}:{port}: {error.strerror}")
