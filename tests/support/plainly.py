"""What a server says to a question without TLS and without a name, as it works where nothing is secured."""

from __future__ import annotations

from collections.abc import Callable

from infra.native import probes
from infra.native.ports import Endpoint

PROBES: dict[str, Callable[[Endpoint], str | None]] = {
    "kafka": probes.kafka,
    "cassandra": probes.cassandra,
    "redis": probes.redis,
    "antifraud": probes.grpc,
    "envoy": probes.grpc,
    "registry": lambda endpoint: probes.http(endpoint, "/apis/ccompat/v7/subjects"),
}


def refusal(name: str, endpoint: Endpoint) -> str | None:
    """Why cassandra-2, say, gives no answer there; None if it gives one."""
    try:
        return PROBES[name.partition("-")[0]](endpoint)
    except OSError as exc:
        return str(exc)
