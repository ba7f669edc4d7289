"""infra/kubernetes: what kubectl makes of it is valid, and agrees with the code, Procfile and docker-compose.yml."""

from __future__ import annotations

import copy
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import SecretStr

from antifraud import server as antifraud_server
from antifraud.settings import read as read_antifraud
from app import bootstrap
from app.messaging import topics
from app.models.role import ROLES
from app.observability import private_logs
from app.settings import Settings, without_secrets
from app.web import health as app_health
from infra.native import procfile
from infra.native.wheels import binary
from tests.support import compose, image, kubernetes
from tests.support.cluster import Cluster

SERVICES = compose.services()
OVERLAYS = kubernetes.OVERLAYS
OURS = ("bff", "transactions", "antifraud")
NAMES = (*OURS, "envoy")
#: Of neighbours.
SERVERS = ("redis", "registry")
#: Services that an operator makes, with their ports.
MADE = {
    "payments-kafka-bootstrap.payments-data": [9092, 9093],
    "scylla-client.payments-data": [9042],
    "scylla-client.payments-data.svc": [9142],
}
ENVOY = yaml.safe_load((compose.ROOT / "infra/envoy/envoy.yaml").read_text())
MIB = {"Mi": 1, "Gi": 1024, "m": 1, "g": 1024}


def workload(name: str, folder: str = "base") -> dict[str, Any]:
    return kubernetes.workloads(folder)[name]


def composed(name: str) -> dict[str, Any]:
    """The same in docker-compose.yml."""
    return SERVICES["antifraud-1" if name == "antifraud" else name]


def ports_of(name: str, folder: str = "base") -> dict[str, int]:
    ports = kubernetes.container(workload(name, folder))["ports"]
    return {one["name"]: one["containerPort"] for one in ports}


def mib(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)([A-Za-z]+)", text).groups()  # type: ignore[union-attr]
    return int(number) * MIB[unit]


# Valid


@pytest.mark.parametrize("version", ["1.35", "1.36", "1.37"])
def test_every_version_of_kubernetes_accepts_every_manifest_with_no_field_that_it_does_not_know(
    version: str,
) -> None:
    assert len(kubernetes.every()) > 40
    for manifest in kubernetes.every():
        kubernetes.check(manifest, version)


@pytest.mark.parametrize(
    ("folder", "kind", "path"),
    [
        ("base", "Deployment", ["spec", "replica"]),
        ("base", "Deployment", ["spec", "template", "spec", "hostNetworks"]),
        ("base", "StatefulSet", ["spec", "volumeClaimTemplate"]),
        ("base", "NetworkPolicy", ["spec", "ingres"]),
        ("base", "PodDisruptionBudget", ["spec", "maxUnavailables"]),
        ("overlays/production", "ScaledObject", ["spec", "maxReplicas"]),
        ("overlays/production", "ScaledObject", ["spec", "advanced", "scalingModifiers", "formulas"]),
        ("neighbours", "Kafka", ["spec", "kafka", "listener"]),
        ("neighbours", "KafkaNodePool", ["spec", "replica"]),
        ("neighbours", "ScyllaCluster", ["spec", "datacenter", "rack"]),
        ("overlays/production-data", "KafkaUser", ["spec", "authentications"]),
        ("overlays/production-data", "Certificate", ["spec", "dnsName"]),
        ("overlays/production-data", "Issuer", ["spec", "selfsigned"]),
        ("overlays/production", "TriggerAuthentication", ["spec", "secretTargetRefs"]),
    ],
)
def test_a_misspelt_field_is_refused(folder: str, kind: str, path: list[str]) -> None:
    manifest = copy.deepcopy(next(iter(kubernetes.of_kind(folder, kind).values())))
    part = manifest
    for step in path[:-1]:
        part = part[step]
    part[path[-1]] = 1
    with pytest.raises(jsonschema.ValidationError):
        kubernetes.check(manifest, "1.37")


def test_a_resource_that_no_schema_knows_is_refused() -> None:
    with pytest.raises(LookupError):
        kubernetes.check({"apiVersion": "example.com/v1", "kind": "Thing"}, "1.37")


@pytest.mark.parametrize("folder", OVERLAYS)
def test_it_has_our_three_parts_and_envoy(folder: str) -> None:
    assert kubernetes.workloads(folder).keys() - set(SERVERS) == set(NAMES)


# What runs


@pytest.mark.parametrize("name", OURS)
def test_it_runs_the_procfiles_command(name: str) -> None:
    line = procfile.read()["antifraud-1" if name == "antifraud" else name]
    command = shlex.split(line.split("ANTIFRAUD_METRICS_PORT=5014 ")[-1])
    assert kubernetes.container(workload(name))["command"] == command


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", OURS)
def test_our_images_have_the_projects_version(name: str, folder: str) -> None:
    version = tomllib.loads((compose.ROOT / "pyproject.toml").read_text())["project"]["version"]
    kind = composed(name)["build"]["args"]["PACKAGES"] if name == "antifraud" else "app"
    registry = "registry.example.com/" if folder == "overlays/production" else ""
    assert kubernetes.container(workload(name, folder))["image"] == f"{registry}payments/{kind}:{version}"


@pytest.mark.parametrize(("folder", "name"), [("base", "envoy"), *(("neighbours", name) for name in SERVERS)])
def test_the_others_images_are_those_of_docker_compose(folder: str, name: str) -> None:
    assert kubernetes.container(workload(name, folder))["image"] == composed(name)["image"]


def test_the_database_is_the_one_of_docker_compose() -> None:
    for folder in ("neighbours", *kubernetes.NEIGHBOURS.values()):
        (scylla,) = kubernetes.of_kind(folder, "ScyllaCluster").values()
        assert f"scylladb/scylla:{scylla['spec']['version']}" == composed("scylla-1")["image"]


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_what_it_has_in_docker_compose_and_is_reserved(name: str) -> None:
    resources = kubernetes.container(workload(name))["resources"]
    assert mib(resources["limits"]["memory"]) == mib(composed(name)["mem_limit"])
    assert resources["requests"]["memory"] == resources["limits"]["memory"]
    assert resources["requests"].keys() == resources["limits"].keys() == {"cpu", "memory"}


@pytest.mark.parametrize("name", SERVERS)
def test_a_servers_memory_and_settings_are_those_of_docker_compose(name: str) -> None:
    one = kubernetes.container(workload(name, "neighbours"))
    assert mib(one["resources"]["limits"]["memory"]) == mib(composed(name)["mem_limit"])
    said = kubernetes.environment("neighbours", name)
    properties = said.pop("SMALLRYE_CONFIG_LOCATIONS", "")
    assert said == {
        k: v for k, v in composed(name).get("environment", {}).items() if k != "SMALLRYE_CONFIG_LOCATIONS"
    }
    mounted = {m["name"]: m["mountPath"] for m in one["volumeMounts"]}
    if name == "redis":
        there = composed(name)["command"].replace("/etc/redis.conf", f"{mounted['config']}/redis.conf")
        assert one["command"] == shlex.split(there)
    else:
        assert properties == f"{mounted['config']}/registry.properties"
        assert said["APICURIO_DATASOURCE_URL"].startswith(f"jdbc:h2:file:{mounted['data']}/")


# Settings


@pytest.fixture
def accepted(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Settings]:
    """The settings as the process would have them."""

    def accept(folder: str, name: str) -> Settings:
        for variable, value in cluster.environment(folder, name).items():
            monkeypatch.setenv(variable, value)
        return Settings()

    return accept


def field_of(variable: str) -> str:
    """The setting that a variable is; of a secret, also the one that names its file."""
    name = variable.lower()
    file_of = name.removesuffix("_file")
    is_secret = file_of in Settings.model_fields and Settings.model_fields[file_of].annotation is SecretStr
    return file_of if is_secret else name


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", ["bff", "transactions"])
def test_each_variable_of_an_app_is_a_setting_that_it_accepts(
    folder: str, name: str, accepted: Callable[[str, str], Settings], cluster: Cluster
) -> None:
    said = cluster.environment(folder, name)
    assert {variable for variable in said if field_of(variable) not in Settings.model_fields} == set()
    values = accepted(folder, name)
    for variable, value in said.items():
        setting = getattr(values, field_of(variable))
        if field_of(variable) != variable.lower():
            assert setting.get_secret_value() == Path(value).read_text()
        elif value:
            assert (str(int(setting)) if isinstance(setting, bool) else without_secrets(setting)) == value


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", ["bff", "transactions"])
def test_a_process_that_listens_on_every_interface_starts_and_a_bff_in_production_asks_for_tokens(
    folder: str,
    name: str,
    accepted: Callable[[str, str], Settings],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = accepted(folder, name)
    api_listens, management_listens = values.listen_host, values.management_port and values.management_host
    assert (api_listens, management_listens) == ("0.0.0.0" if name == "bff" else "127.0.0.1", "0.0.0.0")
    monkeypatch.setattr(bootstrap, "settings", lambda: values)
    # It is of the whole process, in which other tests follow.
    monkeypatch.setattr(private_logs, "leave_out", lambda **_: None)
    bootstrap.create_app(name).web.check()
    asks_for_tokens = (folder, name) == ("overlays/production", "bff")
    assert bool(values.tokens_file) is bool(values.tls_certificate) is asks_for_tokens
    assert values.allow_insecure == ("" if folder == "overlays/production" else "1")


@pytest.mark.parametrize("name", ["bff", "transactions"])
def test_an_app_is_told_all_that_it_is_told_in_docker_compose(name: str) -> None:
    there, here = composed(name)["environment"], kubernetes.environment("base", name)
    assert here.keys() - there.keys() == {
        *("TOPIC_PARTITIONS", "TOPIC_REPLICATION", "CASSANDRA_REPLICATION", "LOG_FORMAT"),
        *("MANAGEMENT_HOST", "MANAGEMENT_PORT"),
    }
    assert there.keys() - here.keys() == {"ALLOW_INSECURE"}  # each overlay says how it is open
    for same in (*(("LISTEN_HOST",) if name == "bff" else ()), "CASSANDRA_PORT", "HISTORY_DIR"):
        assert here.get(same) == there.get(same)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_each_variable_of_antifraud_is_a_setting_that_it_accepts(folder: str, cluster: Cluster) -> None:
    said = cluster.environment(folder, "antifraud")
    settings = read_antifraud(said)
    assert {variable for variable in said if not hasattr(settings, variable.lower())} == set()
    for variable, value in said.items():
        assert str(getattr(settings, variable.lower())) == value
    assert said["ANTIFRAUD_REPLICA"] == "<metadata.name>"
    # The models can be chosen, and by default are the image's own.
    assert said["ANTIFRAUD_MODEL"] == said["ANTIFRAUD_SHADOW"] == ""


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", ["bff", "transactions"])
def test_each_address_in_the_settings_is_a_service_with_that_port(
    folder: str, name: str, accepted: Callable[[str, str], Settings]
) -> None:
    values = accepted(folder, name)
    services = MADE | {
        f"{one['metadata']['name']}.{one['metadata']['namespace']}": [p["port"] for p in one["spec"]["ports"]]
        for part in (folder, kubernetes.NEIGHBOURS[folder])
        for one in kubernetes.of_kind(part, "Service").values()
    }
    for address in (
        values.kafka_brokers,
        without_secrets(values.schema_registry_url),
        f"{values.cassandra_hosts}:{values.cassandra_port}",
        without_secrets(values.redis_url),
        values.antifraud_address,
        values.envoy_admin_address,
    ):
        host, port = re.fullmatch(r"(?:\w+://)?(?:\*+@)?([a-z.-]+):(\d+)(?:/.*)?", address).groups()  # type: ignore[union-attr]
        host = host if "." in host else f"{host}.payments"
        assert int(port) in services[host], address


def test_a_name_that_an_operator_makes_is_of_a_cluster_that_there_is() -> None:
    (kafka,) = kubernetes.of_kind("neighbours", "Kafka")
    (scylla,) = kubernetes.of_kind("neighbours", "ScyllaCluster")
    assert {name.partition(".")[0] for name in MADE} == {f"{kafka}-kafka-bootstrap", f"{scylla}-client"}
    pools = kubernetes.of_kind("neighbours", "KafkaNodePool").values()
    assert {pool["metadata"]["labels"]["strimzi.io/cluster"] for pool in pools} == {kafka}


# Ports


def test_each_process_listens_where_its_code_says() -> None:
    settings = read_antifraud(kubernetes.environment("overlays/local", "antifraud"))
    management = int(kubernetes.environment("base", "bff")["MANAGEMENT_PORT"])
    assert ports_of("bff") == {"http": ROLES["bff"].web_port, "management": management}
    management = int(kubernetes.environment("base", "transactions")["MANAGEMENT_PORT"])
    assert ports_of("transactions") == {"management": management}
    assert ports_of("antifraud") == {
        "grpc": settings.antifraud_port,
        "metrics": settings.antifraud_metrics_port,
    }
    (listener,) = ENVOY["static_resources"]["listeners"]
    grpc, admin = listener["address"], ENVOY["admin"]["address"]
    assert ports_of("envoy") == {
        "grpc": grpc["socket_address"]["port_value"],
        "admin": admin["socket_address"]["port_value"],
    }


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_service_leads_to_a_port_of_the_pods_that_it_names(folder: str) -> None:
    for name, service in kubernetes.of_kind(folder, "Service").items():
        there = kubernetes.workloads(folder)[name]
        assert service["spec"]["selector"] == there["spec"]["selector"]["matchLabels"]
        assert service["spec"]["selector"].items() <= there["spec"]["template"]["metadata"]["labels"].items()
        ports = ports_of(name, folder)
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]
    assert kubernetes.of_kind(folder, "Service").keys() >= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_prometheus_is_told_where_the_metrics_are(name: str) -> None:
    annotations = workload(name)["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/scrape"] == "true"
    targets = json.loads((compose.ROOT / "infra/prometheus/targets.json").read_text())
    (labels,) = (one["labels"] for one in targets if composed(name)["container_name"] in str(one["targets"]))
    assert annotations["prometheus.io/path"] == labels.get("__metrics_path__", "/metrics")
    port = {"antifraud": "metrics", "envoy": "admin"}.get(name, "management")
    assert int(annotations["prometheus.io/port"]) == ports_of(name)[port]


# Envoy


def as_in_the_container(command: str, folder: Path) -> Any:
    """What the container's sed makes of infra/envoy/envoy.yaml."""
    text = command.split("&&")[0]
    for there, here in {
        "/etc/envoy/envoy.yaml": "infra/envoy/envoy.yaml",
        "/tmp/envoy.yaml": str(folder / "envoy.yaml"),  # noqa: S108  # the container's
    }.items():
        assert there in text
        text = text.replace(there, here)
    subprocess.run(["sh", "-c", text], cwd=compose.ROOT, check=True)
    return yaml.safe_load((folder / "envoy.yaml").read_text())


def test_envoy_is_the_one_of_docker_compose_with_all_replicas_behind_one_name(tmp_path: Path) -> None:
    envoy = kubernetes.container(workload("envoy"))
    shell, (command,) = envoy["command"], envoy["args"]
    assert shell == ["sh", "-c"]
    found = as_in_the_container(command, tmp_path)
    (composed_command,) = composed("envoy")["command"]
    (tmp_path / "composed").mkdir()
    wanted = as_in_the_container(compose.shell_text(composed_command), tmp_path / "composed")
    # Nothing but the replicas differs, and what is run.
    assert command.split("exec")[1] == composed_command.split("exec")[1]
    (cluster,) = wanted["static_resources"]["clusters"]
    cluster["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {
                    "endpoint": {
                        "hostname": "antifraud-1",
                        "address": {"socket_address": {"address": "antifraud", "port_value": 5004}},
                    }
                }
            ]
        }
    ]
    assert found == wanted
    # Each address of the name is a host.
    assert cluster["cluster_type"]["name"] == "envoy.cluster.dns"
    assert "all_addresses_in_single_endpoint" not in cluster["cluster_type"]["typed_config"]
    done = subprocess.run(
        [str(binary("envoy")), "--mode", "validate", "-c", str(tmp_path / "envoy.yaml")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_name_gives_envoy_the_address_of_each_antifraud_pod(folder: str) -> None:
    service = kubernetes.of_kind(folder, "Service")["antifraud"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    (port,) = service["spec"]["ports"]
    assert port["port"] == read_antifraud(kubernetes.environment(folder, "antifraud")).antifraud_port


@pytest.mark.parametrize(
    ("folder", "name", "file"),
    [
        ("base", "envoy", "envoy/envoy.yaml"),
        ("neighbours", "redis", "redis/redis.conf"),
        ("neighbours", "registry", "registry/registry.properties"),
    ],
)
def test_a_mounted_configuration_is_the_file_in_infra(folder: str, name: str, file: str) -> None:
    volumes = {one["name"]: one for one in kubernetes.pod(workload(name, folder))["volumes"]}
    data = kubernetes.of_kind(folder, "ConfigMap")[volumes["config"]["configMap"]["name"]]["data"]
    assert data[file.split("/")[1]] == (compose.ROOT / "infra" / file).read_text()


# Probes


def probes(name: str, folder: str = "base") -> Iterator[tuple[str, dict[str, Any]]]:
    one = kubernetes.container(workload(name, folder))
    for kind in ("startup", "readiness", "liveness"):
        if f"{kind}Probe" in one:
            yield kind, one[f"{kind}Probe"]


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", NAMES)
def test_a_probe_asks_a_port_that_is_open_and_what_the_code_answers(name: str, folder: str) -> None:
    views = Path(app_health.__file__).read_text()
    ports = ports_of(name, folder)
    for kind, probe in probes(name, folder):
        if name == "antifraud" and folder == "overlays/production":
            assert probe["exec"]["command"] == ["python", "-m", "antifraud.probe", "antifraud"]
        elif "grpc" in probe:
            assert probe["grpc"]["port"] == ports["grpc"]
            assert probe["grpc"].get("service") in (None, antifraud_server.SERVICE)
        elif name == "envoy":
            assert probe["httpGet"]["port"] == "admin"
            assert probe["httpGet"]["path"] == {"readiness": "/ready", "liveness": "/server_info"}[kind]
        else:
            assert probe["httpGet"]["port"] in ports
            assert f'"{probe["httpGet"]["path"]}"' in views


@pytest.mark.parametrize("folder", OVERLAYS)
@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_restarted_because_of_its_neighbours(name: str, folder: str) -> None:
    """Liveness asks the process alone; an outage of Kafka must not restart the fleet."""
    liveness = dict(probes(name, folder))["liveness"]
    asked = liveness.get("httpGet", {}).get("path")
    assert asked == {"antifraud": None, "envoy": "/server_info"}.get(name, "/health/live")
    if name == "antifraud" and folder != "overlays/production":
        assert liveness["grpc"] == {"port": 5004}  # the process as a whole; it has no neighbours


@pytest.mark.parametrize("name", NAMES)
def test_a_probe_is_as_patient_as_docker_compose(name: str) -> None:
    check = composed(name)["healthcheck"]
    seconds = {key: int(check[key].removesuffix("s")) for key in ("interval", "timeout", "start_period")}
    found = dict(probes(name))
    assert all(probe["timeoutSeconds"] >= seconds["timeout"] for probe in found.values())
    assert found["liveness"]["failureThreshold"] >= check["retries"]
    assert found["liveness"]["periodSeconds"] >= seconds["interval"]
    if name != "envoy":  # it starts in a second
        startup = found["startup"]
        assert startup["periodSeconds"] * startup["failureThreshold"] >= seconds["start_period"]


@pytest.mark.parametrize("folder", OVERLAYS)
def test_an_outage_of_kafka_leaves_the_bffs_in_their_service(folder: str) -> None:
    """They answer GET without Kafka; what a start waits for is not asked again."""
    found = dict(probes("bff", folder))
    assert found["startup"]["httpGet"]["path"] == "/health/ready"
    assert found["startup"]["periodSeconds"] * found["startup"]["failureThreshold"] >= 3600
    assert found["readiness"]["httpGet"]["path"] == "/health/live"


@pytest.mark.parametrize("folder", OVERLAYS)
def test_a_worker_is_ready_when_it_works(folder: str) -> None:
    found = dict(probes("transactions", folder))
    assert found["readiness"]["httpGet"]["path"] == "/health/ready"
    assert found["startup"]["httpGet"]["path"] == "/health/live"


@pytest.mark.parametrize("folder", OVERLAYS)
def test_antifraud_is_ready_when_its_model_is_warm(folder: str) -> None:
    found = dict(probes("antifraud", folder))
    for kind in ("startup", "readiness"):
        if folder != "overlays/production":  # where a program asks, over TLS
            assert found[kind]["grpc"] == {"port": 5004, "service": antifraud_server.SERVICE}


# Kafka and the database


def test_kafka_is_set_up_as_the_file_says_but_for_the_size_of_a_machine() -> None:
    text = (compose.ROOT / "infra/kafka/server.properties").read_text()
    said = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    (kafka,) = kubernetes.of_kind("neighbours", "Kafka").values()
    found = {key: str(value).lower() for key, value in kafka["spec"]["kafka"]["config"].items()}
    for name in (
        "auto.create.topics.enable",
        "log.retention.ms",
        "log.retention.bytes",
        "offsets.retention.minutes",
    ):
        assert found[name] == said[name]
    assert found.get(topics.EXPIRATION) is None  # a day, Kafka's default: more than is needed
    assert topics.EXPIRATION_LEAST <= 86_400_000


@pytest.mark.parametrize(("folder", "neighbours"), kubernetes.NEIGHBOURS.items())
def test_there_are_brokers_and_nodes_for_as_many_replicas_as_the_settings_ask(
    folder: str, neighbours: str, accepted: Callable[[str, str], Settings]
) -> None:
    values = accepted(folder, "transactions")
    pools = kubernetes.of_kind(neighbours, "KafkaNodePool").values()
    brokers = sum(pool["spec"]["replicas"] for pool in pools if "broker" in pool["spec"]["roles"])
    (kafka,) = kubernetes.of_kind(neighbours, "Kafka").values()
    config = kafka["spec"]["kafka"]["config"]
    assert values.topic_replication == brokers
    for name in ("default", "offsets.topic", "transaction.state.log"):
        assert config[f"{name}.replication.factor"] == values.topic_replication
    for name in ("min.insync.replicas", "transaction.state.log.min.isr"):
        assert config[name] == topics.in_sync_at_least(values.topic_replication)
    (scylla,) = kubernetes.of_kind(neighbours, "ScyllaCluster").values()
    racks = scylla["spec"]["datacenter"]["racks"]
    # Each replica of a row in another rack.
    assert len(racks) == sum(rack["members"] for rack in racks) == values.cassandra_replication


# The image's user and where it may write


def test_our_processes_are_the_images_user() -> None:
    (user,) = image.steps("USER")
    assert user == "nobody"
    for name in OURS:
        security = kubernetes.pod(workload(name))["securityContext"]
        # A number: Kubernetes cannot know that a name is not root's.
        assert security["runAsUser"] == security["runAsGroup"] == 65_534


@pytest.mark.parametrize("name", OURS)
def test_what_it_writes_is_a_volume(name: str) -> None:
    mounts = [mount["mountPath"] for mount in kubernetes.container(workload(name))["volumeMounts"]]
    (environment,) = (step for step in image.steps("ENV") if "APP_DATADIR" in step)
    data = dict(shlex.split(part)[0].split("=", 1) for part in environment.split())["APP_DATADIR"]
    histories = kubernetes.environment("base", name).get("HISTORY_DIR")
    written = [data, histories] if histories else [data]
    for path in written:
        assert any(Path(path).is_relative_to(mount) for mount in mounts), path


def test_a_workers_snapshots_are_on_a_volume_of_its_own_where_docker_compose_has_them() -> None:
    transactions = workload("transactions")
    assert transactions["kind"] == "StatefulSet"
    (claim,) = transactions["spec"]["volumeClaimTemplates"]
    mounts = {m["name"]: m["mountPath"] for m in kubernetes.container(transactions)["volumeMounts"]}
    place = kubernetes.environment("base", "transactions")["HISTORY_DIR"]
    assert (
        mounts[claim["metadata"]["name"]] == place == composed("transactions")["environment"]["HISTORY_DIR"]
    )
    assert f"histories:{place}" in composed("transactions")["volumes"]
    # The process may write into it.
    security = kubernetes.pod(transactions)["securityContext"]
    assert security["fsGroup"] == security["runAsGroup"]
