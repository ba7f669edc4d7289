"""Whether this container's replica serves: `python -m antifraud.probe NAME` ends with 0 if it does.

For Kubernetes, whose own gRPC probe knows no TLS. The replica's certificate, which is for NAME, is what is shown to it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from antifraud.settings import read

#: Seconds; the probe in the manifest waits for 5.
WITHIN = 3.0


def is_serving(environment: Mapping[str, str], name: str) -> bool:
    """Ask it, at the port and with the files of its own settings."""
    settings = read(environment)
    files = settings.antifraud_tls_ca, settings.antifraud_tls_key, settings.antifraud_tls_certificate
    credentials = grpc.ssl_channel_credentials(*(Path(file).read_bytes() for file in files))
    options = [("grpc.ssl_target_name_override", name), ("grpc.enable_http_proxy", 0)]
    with grpc.secure_channel(f"127.0.0.1:{settings.antifraud_port}", credentials, options) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=WITHIN
            )
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(0 if is_serving(os.environ, sys.argv[1]) else 1)
