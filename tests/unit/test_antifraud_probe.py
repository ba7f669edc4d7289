"""`python -m antifraud.probe`: what Kubernetes runs where the replica's port has TLS."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from antifraud import tls
from antifraud.probe import is_serving
from antifraud.settings import read
from infra.native.certificates import Pair


def environment(made: dict[str, Pair], port: int, shown: str = "server") -> dict[str, str]:
    return {
        "ANTIFRAUD_PORT": str(port),
        "ANTIFRAUD_TLS_CERTIFICATE": str(made[shown].certificate),
        "ANTIFRAUD_TLS_KEY": str(made[shown].key),
        "ANTIFRAUD_TLS_CA": str(made["authority"].certificate),
    }


@pytest.fixture
def replica(made: dict[str, Pair]) -> Iterator[tuple[int, health.HealthServicer]]:
    """A port with a replica's TLS, and what it says of itself."""
    server, state = grpc.server(ThreadPoolExecutor(2)), health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    port = server.add_secure_port("127.0.0.1:0", tls.credentials(read(environment(made, 1))))
    server.start()
    yield port, state
    server.stop(0)


def test_a_replica_that_serves_is_told_from_one_that_does_not(
    replica: tuple[int, health.HealthServicer], made: dict[str, Pair]
) -> None:
    port, state = replica
    assert is_serving(environment(made, port), "localhost")
    state.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert not is_serving(environment(made, port), "localhost")


def test_what_is_not_the_replica_does_not_serve(
    replica: tuple[int, health.HealthServicer], made: dict[str, Pair]
) -> None:
    port, _ = replica
    assert not is_serving(environment(made, port), "another-name")
    assert not is_serving(environment(made, port, "expired"), "localhost")
    assert not is_serving(environment(made, 1), "localhost")
