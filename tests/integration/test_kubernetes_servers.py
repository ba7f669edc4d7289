"""The registry and Envoy, natively, as the production manifests start them: TLS, names, renewed certificates."""

from __future__ import annotations

import socket
import ssl
import subprocess
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from antifraud import tls
from antifraud.server import SERVICE
from antifraud.settings import read as read_antifraud
from infra.native.artifacts import registry_jar
from infra.native.certificates import certificate
from infra.native.java import java
from infra.native.wheels import binary
from tests.integration.processes import running
from tests.integration.replicas import free_ports
from tests.support import cluster as clusters
from tests.support import kubernetes
from tests.support.cluster import DATA, PRODUCTION, Cluster

pytestmark = pytest.mark.long

WITHIN = 60.0  # seconds; a Java server on a busy machine


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    return clusters.made(tmp_path_factory.mktemp("cluster"))


@contextmanager
def connected(port: int, context: ssl.SSLContext, host: str) -> Iterator[ssl.SSLSocket]:
    """To this machine, as to the host that the certificate must be for; waits for the server."""
    until = time.monotonic() + WITHIN
    while True:
        try:
            plain = socket.create_connection(("127.0.0.1", port), 5)
            break
        except ConnectionRefusedError:
            assert time.monotonic() < until, "nobody listens"
            time.sleep(0.1)
    with plain, context.wrap_socket(plain, server_hostname=host) as connection:
        yield connection


def status(port: int, context: ssl.SSLContext, host: str, path: str, *headers: str) -> int:
    with connected(port, context, host) as connection:
        lines = [f"GET {path}/subjects HTTP/1.1", f"Host: {host}", "Connection: close", *headers, "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return int(connection.makefile("rb").readline().split()[1])


def test_the_registry_takes_its_variables_and_lets_in_who_has_the_password_alone(
    cluster: Cluster, tmp_path: Path
) -> None:
    (port,), said = free_ports(1), kubernetes.environment(DATA, "registry")
    for path in cluster.files(DATA, "registry"):
        place = str(cluster.on_disk(DATA, "registry", path))
        said = {name: value.replace(path, place) for name, value in said.items()}
    said = {
        name: value.replace("8081", str(port)).replace("/data/", f"{tmp_path}/")
        for name, value in said.items()
    }
    url = urlsplit(cluster.objects["secret", "payments", "passwords"]["registry-url"])
    host, path = str(url.hostname), url.path
    trusted = ssl.create_default_context(cadata=cluster.objects["configMap", "payments", "trusted"]["ca.pem"])
    word = b64encode(f"{url.username}:{url.password}".encode()).decode()
    with running(java("-jar", str(registry_jar())), said, tmp_path / "log.txt"):
        assert status(port, trusted, host, path, f"Authorization: Basic {word}") == 200
        assert status(port, trusted, host, path) == 401
        assert status(port, trusted, host, path, "Authorization: Basic cGF5bWVudHM6bm9uZQ==") == 401
        with socket.create_connection(("127.0.0.1", port), 5) as plain:
            plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert b" 200 " not in plain.recv(100)


@contextmanager
def envoy(cluster: Cluster, folder: Path, replica: int = 1) -> Iterator[tuple[int, Path, dict[str, str]]]:
    """As the container starts it, before a replica at this port: its own port, its volume, and what is on it.

    A volume is a folder of links through `..data`, which is moved when a Secret changes.
    """
    volume, (port, admin) = folder / "etc-envoy", free_ports(2)
    volume.mkdir()
    texts = {Path(path).name: text for path, text in cluster.files(PRODUCTION, "envoy").items()}
    texts = {name: text.replace("/etc/envoy", str(volume)) for name, text in texts.items()}
    moved_in(volume, "first", texts)
    for name in texts:
        (volume / name).symlink_to(Path("..data") / name)
    (command,) = kubernetes.container(kubernetes.workloads(PRODUCTION)["envoy"])["args"]
    sed = command.split("&&")[0].replace("/etc/envoy", str(volume))
    made = folder / "envoy.yaml"
    subprocess.run(["sh", "-c", sed.replace("/tmp/envoy.yaml", str(made))], check=True)  # noqa: S108
    text = made.read_text().replace("address: antifraud", "address: localhost")
    for there, here in ((5005, port), (9901, admin), (5004, replica)):
        text = text.replace(f"port_value: {there} ", f"port_value: {here} ")
    made.write_text(text)
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    with running([str(binary("envoy")), "-c", str(made), *options], {}, folder / "log.txt"):
        yield port, volume, texts


def test_envoy_shows_a_certificate_that_kubernetes_has_renewed(cluster: Cluster, tmp_path: Path) -> None:
    with envoy(cluster, tmp_path) as (port, volume, texts):
        context = ssl.create_default_context(cadata=texts["ca.crt"])
        client = cluster.pairs["payments", "client-tls"]
        context.load_cert_chain(client.certificate, client.key)
        context.set_alpn_protocols(["h2"])
        before = shown(port, context)
        renewed = certificate(cluster.pairs["payments", "authority"], tmp_path, "renewed", hosts=["envoy"])
        texts |= {"tls.crt": renewed.certificate.read_text(), "tls.key": renewed.key.read_text()}
        moved_in(volume, "second", texts)
        until = time.monotonic() + 10
        while (now := shown(port, context)) == before:
            assert time.monotonic() < until, "it shows the old one"
            time.sleep(0.1)
        assert now == ssl.PEM_cert_to_DER_cert(renewed.certificate.read_text())


@pytest.mark.parametrize(
    ("replicas", "clients", "answered"),
    [("antifraud-tls", "client-tls", True), ("bff-tls", "client-tls", False), ("antifraud-tls", "", False)],
    ids=["both as they should be", "a replica of another name", "a client without a certificate"],
)
def test_a_call_goes_through_envoy_where_both_show_their_certificates(
    replicas: str, clients: str, answered: bool, cluster: Cluster, tmp_path: Path
) -> None:
    pair, ca = cluster.pairs["payments", replicas], cluster.pairs["payments", "authority"].certificate
    settings = read_antifraud(
        {
            "ANTIFRAUD_TLS_CERTIFICATE": str(pair.certificate),
            "ANTIFRAUD_TLS_KEY": str(pair.key),
            "ANTIFRAUD_TLS_CA": str(ca),
        }
    )
    server, state = grpc.server(ThreadPoolExecutor(2)), health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(state, server)
    state.set(SERVICE, health_pb2.HealthCheckResponse.SERVING)
    replica = server.add_secure_port("127.0.0.1:0", tls.credentials(settings))
    server.start()
    ours = cluster.pairs.get(("payments", clients))
    files = [ours.key.read_bytes(), ours.certificate.read_bytes()] if ours else []
    options = [("grpc.ssl_target_name_override", "envoy"), ("grpc.enable_http_proxy", 0)]
    try:
        with (
            envoy(cluster, tmp_path, replica) as (port, _, _),
            grpc.secure_channel(
                f"127.0.0.1:{port}", grpc.ssl_channel_credentials(ca.read_bytes(), *files), options
            ) as channel,
        ):
            assert is_answered(channel, 30 if answered else 8) is answered
    finally:
        server.stop(0)


def is_answered(channel: grpc.Channel, seconds: float) -> bool:
    """Whether a replica says through Envoy that it serves, within this time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(service=SERVICE), timeout=2
            )
        except grpc.RpcError:
            time.sleep(0.2)
        else:
            return True
    return False


def moved_in(volume: Path, name: str, texts: Mapping[str, str]) -> None:
    """As a kubelet does it: all files at once."""
    folder = volume / f"..{name}"
    folder.mkdir()
    for file, text in texts.items():
        (folder / file).write_text(text)
    (volume / "..data_tmp").symlink_to(folder.name)
    (volume / "..data_tmp").rename(volume / "..data")


def shown(port: int, context: ssl.SSLContext) -> bytes:
    with connected(port, context, "envoy") as connection:
        return connection.getpeercert(binary_form=True) or b""
