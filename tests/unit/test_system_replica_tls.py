"""A replica's health over TLS: Envoy knows it by an address that its certificate, as in a cluster, is not for."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from antifraud import tls
from antifraud.settings import read
from app.settings import Settings
from app.system.probes import ReplicaProbe
from infra.native.certificates import Pair, certificate


@pytest.mark.parametrize(("name", "found"), [("antifraud", True), ("another", False)])
def test_a_bff_knows_a_replica_by_the_name_of_all_replicas(
    name: str, found: bool, made: dict[str, Pair], tmp_path: Path
) -> None:
    shown = certificate(made["authority"], tmp_path, hosts=[name])
    files = {
        "ANTIFRAUD_TLS_CERTIFICATE": str(shown.certificate),
        "ANTIFRAUD_TLS_KEY": str(shown.key),
        "ANTIFRAUD_TLS_CA": str(made["authority"].certificate),
    }
    server, state = grpc.server(ThreadPoolExecutor(2)), health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    state.set("antifraud.v1.AntifraudAPI", health_pb2.HealthCheckResponse.SERVING)
    port = server.add_secure_port("127.0.0.1:0", tls.credentials(read(files)))
    server.start()
    values = Settings(
        antifraud_tls=True,
        tls_ca=str(made["authority"].certificate),
        tls_client_certificate=str(made["client"].certificate),
        tls_client_key=str(made["client"].key),
    )
    try:
        assert asyncio.run(answered(values, f"127.0.0.1:{port}")) is found
    finally:
        server.stop(0)


async def answered(values: Settings, address: str) -> bool:
    """Whether it ever does; the deadline of one question is short for a busy machine."""
    probe = ReplicaProbe(values, address)
    for _ in range(5):
        if await probe.ask():
            break
    await probe.close()
    return probe.has_answered
