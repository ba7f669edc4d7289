"""infra/kubernetes, production: each connection has TLS and a name, and what one side says is what the other one does.

The files are real: passwords.sh and trusted.sh are run, certificates are made for the names in the manifests, and the
code reads them from where the containers would.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import stat
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import yaml

from antifraud import tls as antifraud_tls
from antifraud.settings import read as read_antifraud
from app import bootstrap, connections
from app.observability import private_logs
from app.settings import Settings
from infra.native import certificates, secure
from infra.native import envoy as native_envoy
from infra.native import redis as native_redis
from infra.native import registry as native_registry
from infra.native.certificates import Pair
from infra.native.wheels import binary
from tests.support import cluster as clusters
from tests.support import compose, kubernetes
from tests.support.cluster import DATA, PRODUCTION, Cluster, handshake

APPS = ("bff", "transactions")
PAGE = compose.ROOT / "docs/kubernetes.md"


@pytest.fixture(params=APPS)
def settings(request: pytest.FixtureRequest, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An app's, as its process would have them."""
    return settings_of(request.param, cluster, monkeypatch)


def settings_of(name: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for variable, value in cluster.environment(PRODUCTION, name).items():
        monkeypatch.setenv(variable, value)
    return Settings()


def container(overlay: str, name: str) -> dict[str, Any]:
    return kubernetes.container(kubernetes.workloads(overlay)[name])


def certificate(overlay: str, name: str) -> dict[str, Any]:
    return dict(kubernetes.of_kind(overlay, "Certificate")[name]["spec"])


def only(overlay: str, kind: str) -> dict[str, Any]:
    (one,) = kubernetes.of_kind(overlay, kind).values()
    return one


def serving(pair: Pair, clients: Path | None = None) -> ssl.SSLContext:
    """A server with this certificate; `clients`: the authority of which they must show one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    return context


# The apps


def test_every_connection_has_tls_and_a_name(settings: Settings) -> None:
    assert settings.kafka_tls
    assert settings.cassandra_tls
    assert settings.antifraud_tls
    assert connections.redis_uses_tls(settings)
    assert connections.registry_uses_tls(settings)
    for url in (settings.redis_url, settings.schema_registry_url):
        parts = urlsplit(url.get_secret_value())
        assert parts.username
        assert parts.password
    assert settings.kafka_username
    assert settings.cassandra_username
    connections.check(settings)  # every file can be used


def test_nobody_is_allowed_to_be_insecure() -> None:
    for overlay in (PRODUCTION, DATA):
        text = yaml.safe_dump(kubernetes.rendered(overlay))
        assert "ALLOW_INSECURE" not in text
        assert "protected-mode" not in text or "--aclfile" in text


@pytest.mark.parametrize("name", [*APPS, "antifraud"])
def test_each_file_that_a_setting_names_is_there(name: str, cluster: Cluster) -> None:
    files = cluster.files(PRODUCTION, name)
    named = {
        value for value in kubernetes.environment(PRODUCTION, name).values() if value.startswith("/etc/")
    }
    assert named
    assert named <= files.keys()


@pytest.mark.parametrize("name", APPS)
def test_nothing_is_mounted_that_no_setting_names(name: str, cluster: Cluster) -> None:
    assert cluster.files(PRODUCTION, name).keys() <= set(kubernetes.environment(PRODUCTION, name).values())


@pytest.mark.parametrize("name", APPS)
def test_it_starts_without_being_allowed_to(
    name: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = settings_of(name, cluster, monkeypatch)
    monkeypatch.setattr(bootstrap, "settings", lambda: values)
    # It is of the whole process, in which other tests follow.
    monkeypatch.setattr(private_logs, "leave_out", lambda **_: None)
    bootstrap.create_app(name).web.check()
    assert "0.0.0.0" in (values.listen_host, values.management_host)
    assert values.allow_insecure == ""


def test_a_file_that_changes_reaches_the_container() -> None:
    """A mount of one file (subPath) would never be renewed."""
    for overlay in (PRODUCTION, DATA):
        for one in kubernetes.workloads(overlay).values():
            assert not [mount for mount in kubernetes.container(one)["volumeMounts"] if "subPath" in mount]


# Kafka


def test_kafka_listens_as_the_settings_ask(settings: Settings) -> None:
    (listener,) = only(DATA, "Kafka")["spec"]["kafka"]["listeners"]
    assert listener["tls"] is settings.kafka_tls
    assert listener["authentication"]["type"] == connections.MECHANISM.lower()
    assert settings.kafka_brokers == f"payments-kafka-bootstrap.payments-data:{listener['port']}"


def test_the_user_of_kafka_is_who_the_apps_say_they_are(settings: Settings, cluster: Cluster) -> None:
    user, kafka = only(DATA, "KafkaUser"), only(DATA, "Kafka")
    assert user["metadata"]["name"] == settings.kafka_username
    assert user["metadata"]["labels"]["strimzi.io/cluster"] == kafka["metadata"]["name"]
    assert user["metadata"]["namespace"] == kafka["metadata"]["namespace"]
    assert user["spec"]["authentication"]["type"] == connections.MECHANISM.lower()
    key = user["spec"]["authentication"]["password"]["valueFrom"]["secretKeyRef"]
    password = cluster.objects["secret", "payments-data", key["name"]][key["key"]]
    assert password == settings.kafka_password.get_secret_value()
    assert "userOperator" in kafka["spec"]["entityOperator"]  # which makes it


def test_the_autoscaler_asks_kafka_as_the_workers_do(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = settings_of("transactions", cluster, monkeypatch)
    (trigger,) = (
        one for one in only(PRODUCTION, "ScaledObject")["spec"]["triggers"] if one["type"] == "kafka"
    )
    said, how = trigger["metadata"], only(PRODUCTION, "TriggerAuthentication")
    assert trigger["authenticationRef"]["name"] == how["metadata"]["name"]
    assert said["bootstrapServers"] == values.kafka_brokers
    assert said["sasl"].replace("_", "") == connections.MECHANISM.lower().replace("-", "")
    assert said["tls"] == "enable"
    given = {}
    for one in how["spec"]["env"]:
        assert one["containerName"] == container(PRODUCTION, "transactions")["name"]
        given[one["parameter"]] = kubernetes.environment(PRODUCTION, "transactions")[one["name"]]
    for kind, field in (("secret", "secretTargetRef"), ("configMap", "configMapTargetRef")):
        for one in how["spec"][field]:
            given[one["parameter"]] = cluster.objects[kind, "payments", one["name"]][one["key"]]
    assert given == {
        "username": values.kafka_username,
        "password": values.kafka_password.get_secret_value(),
        "ca": Path(values.tls_ca).read_text(),
    }


# ScyllaDB


def test_scylladb_asks_for_the_role_that_is_made_for_the_apps(settings: Settings, cluster: Cluster) -> None:
    config = scylla_config()
    assert config["authenticator"] == "PasswordAuthenticator"
    roles = (cluster.folder / "new/roles.cql").read_text()
    password = settings.cassandra_password.get_secret_value()
    made = f"CREATE ROLE \"{settings.cassandra_username}\" WITH PASSWORD = '{password}' AND LOGIN = true;\n"
    assert made in roles
    # Nobody comes in by the password that everybody knows.
    assert re.search(r"^ALTER ROLE cassandra WITH PASSWORD = '[0-9a-f]{48}';$", roles, re.MULTILINE)


def test_scylladb_takes_tls_at_the_operators_port_from_clients_without_a_certificate_of_the_operators(
    settings: Settings,
) -> None:
    encryption = scylla_config()["client_encryption_options"]
    files = "/var/run/secrets/scylla-operator.scylladb.com/scylladb/serving-certs"
    assert encryption == {
        "enabled": True,
        "optional": False,
        "certificate": f"{files}/tls.crt",
        "keyfile": f"{files}/tls.key",
        "require_client_auth": False,
    }
    assert settings.cassandra_port == 9142
    # The operator's certificate has this form of the name, and each node's address.
    assert settings.cassandra_hosts == "scylla-client.payments-data.svc"


def scylla_config() -> dict[str, Any]:
    racks = only(DATA, "ScyllaCluster")["spec"]["datacenter"]["racks"]
    (name,) = {rack.get("scyllaConfig") for rack in racks}
    return dict(yaml.safe_load(kubernetes.of_kind(DATA, "ConfigMap")[name]["data"]["scylla.yaml"]))


# Redis and the registry


@pytest.fixture
def native(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A secured native stack with a Redis that has TLS; its passwords are the words `a password`."""
    for module in (native_redis, native_registry):
        monkeypatch.setattr(module, "run", lambda: tmp_path)
    monkeypatch.setattr(secure, "SECURE", tmp_path)
    monkeypatch.setattr(secure, "redis_has_tls", lambda: True)
    for name in ("redis", "registry"):
        (tmp_path / f"{name}.password").write_text("a password")
    return tmp_path


def test_redis_is_secured_as_the_native_one_would_be(native: Path, cluster: Cluster) -> None:
    files = cluster.files(DATA, "redis")
    natively = native_redis._secured(6379)
    here = container(DATA, "redis")["args"]
    assert (
        dict(zip(here[::2], here[1::2], strict=True)).keys()
        == dict(zip(natively[::2], natively[1::2], strict=True)).keys()
    )
    paths = {word for word in here if word.startswith("/")}
    assert paths <= files.keys()
    said = dict(zip(here[::2], here[1::2], strict=True))
    same = ("--port", "--tls-port", "--tls-auth-clients")
    assert {name: said[name] for name in same} == {
        "--port": "0",
        "--tls-port": "6379",
        "--tls-auth-clients": "no",
    }
    password = cluster.objects["secret", "payments", "passwords"]["redis-url"].split(":")[2].split("@")[0]
    assert files[said["--aclfile"]].replace(password, "a password") == (native / "redis.acl").read_text()
    assert (
        files[said["--tls-cert-file"]] == cluster.pairs["payments-data", "redis-tls"].certificate.read_text()
    )
    assert files[said["--tls-key-file"]] == cluster.pairs["payments-data", "redis-tls"].key.read_text()


def test_the_registry_is_secured_as_the_native_one_is(native: Path, cluster: Cluster) -> None:
    files = cluster.files(DATA, "registry")
    said = kubernetes.environment(DATA, "registry")
    for name, value in native_registry._secured(8081).items():
        here = said[re.sub(r"[.-]", "_", name).upper()]
        assert here in files if value.endswith((".pem", ".key")) else here == value
    assert files[said["QUARKUS_HTTP_SSL_CERTIFICATE_FILES"]] == _text(cluster, "registry-tls", "tls.crt")
    assert files[said["QUARKUS_HTTP_SSL_CERTIFICATE_KEY_FILES"]] == _text(cluster, "registry-tls", "tls.key")
    locations = said["SMALLRYE_CONFIG_LOCATIONS"].split(",")
    assert set(locations) <= files.keys()
    (users,) = (files[one] for one in locations if "embedded" in files[one])
    password = urlsplit(cluster.objects["secret", "payments", "passwords"]["registry-url"]).password or "none"
    assert users.strip().replace(password, "a password") == native_registry._users().read_text()


def _text(cluster: Cluster, secret: str, key: str) -> str:
    return cluster.objects["secret", "payments-data", secret][key]


@pytest.mark.parametrize("name", ["redis", "registry"])
def test_a_probe_needs_neither_a_certificate_nor_a_name(name: str) -> None:
    for kind in ("readinessProbe", "livenessProbe"):
        assert container(DATA, name)[kind].keys() & {"exec", "httpGet", "tcpSocket"} == {"tcpSocket"}


@pytest.mark.parametrize(("name", "field"), [("redis", "redis_url"), ("registry", "schema_registry_url")])
def test_a_server_lets_the_apps_in_at_the_port_that_they_ask(
    settings: Settings, name: str, field: str
) -> None:
    parts = urlsplit(getattr(settings, field).get_secret_value())
    service = kubernetes.of_kind(DATA, "Service")[name]
    assert parts.hostname == f"{name}.{service['metadata']['namespace']}"
    assert [port["port"] for port in service["spec"]["ports"]] == [parts.port]


# Certificates


@pytest.mark.parametrize(
    ("secret", "host"),
    [
        (
            ("payments-data", "redis-tls"),
            lambda values: urlsplit(values.redis_url.get_secret_value()).hostname,
        ),
        (
            ("payments-data", "registry-tls"),
            lambda values: urlsplit(values.schema_registry_url.get_secret_value()).hostname,
        ),
        (("payments", "envoy-tls"), lambda values: values.antifraud_address.partition(":")[0]),
    ],
    ids=["redis", "registry", "envoy"],
)
def test_the_apps_trust_a_server_by_the_name_that_they_call_it(
    settings: Settings, cluster: Cluster, secret: tuple[str, str], host: Any
) -> None:
    handshake(connections.new_context(settings), serving(cluster.pairs[secret]), host(settings))
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(connections.new_context(settings), serving(cluster.pairs[secret]), "another.name")


@pytest.mark.parametrize("operators", ["kafka", "scylla"])
def test_the_apps_trust_what_an_operators_authority_signs(
    settings: Settings, cluster: Cluster, operators: str, tmp_path: Path
) -> None:
    of_broker = certificates.certificate(
        cluster.pairs["payments-data", operators], tmp_path, hosts=["one.of.them"]
    )
    handshake(connections.new_context(settings), serving(of_broker), "one.of.them")


def test_envoy_and_replicas_take_the_certificates_of_their_own_namespace_alone(
    settings: Settings, cluster: Cluster
) -> None:
    envoy = serving(
        cluster.pairs["payments", "envoy-tls"], cluster.on_disk(PRODUCTION, "envoy", "/etc/envoy/ca.crt")
    )
    handshake(connections.new_context(settings), envoy, "envoy")
    strangers = ssl.create_default_context(cafile=settings.tls_ca)
    with pytest.raises(ssl.SSLError):
        handshake(strangers, envoy, "envoy")
    redis = cluster.pairs["payments-data", "redis-tls"]
    strangers.load_cert_chain(redis.certificate, redis.key)
    with pytest.raises(ssl.SSLError):
        handshake(strangers, envoy, "envoy")


@pytest.mark.parametrize(
    ("overlay", "name", "usages"),
    [
        (PRODUCTION, "client", {"client auth"}),
        (PRODUCTION, "bff", {"server auth"}),
        (PRODUCTION, "envoy", {"server auth", "client auth"}),
        (PRODUCTION, "antifraud", {"server auth", "client auth"}),
        (DATA, "redis", {"server auth"}),
        (DATA, "registry", {"server auth"}),
    ],
)
def test_a_certificate_is_for_what_its_owner_does_and_is_renewed_in_time(
    overlay: str, name: str, usages: set[str]
) -> None:
    said = certificate(overlay, name)
    assert set(said["usages"]) == usages | {"digital signature"}
    assert said["issuerRef"]["name"] in kubernetes.of_kind(overlay, "Issuer")
    # Who reads its files at a start has three months to be restarted in.
    assert int(said["renewBefore"].removesuffix("h")) == 24 * 90 < int(said["duration"].removesuffix("h")) / 2
    assert said["privateKey"]["rotationPolicy"] == "Always"


@pytest.mark.parametrize("overlay", [PRODUCTION, DATA])
def test_an_authority_keeps_its_key_for_as_long_as_copies_of_it_are_trusted(overlay: str) -> None:
    said = certificate(overlay, "authority")
    assert said["isCA"] is True
    assert said["privateKey"]["rotationPolicy"] == "Never"
    assert said["duration"] == "87600h"
    issuer = kubernetes.of_kind(overlay, "Issuer")["authority"]
    assert issuer["spec"]["ca"]["secretName"] == said["secretName"]
    assert only(DATA, "Kafka")["spec"]["clusterCa"]["validityDays"] == 3650
    names = {certificate(one, "authority")["commonName"] for one in (PRODUCTION, DATA)}
    assert len(names) == 2  # OpenSSL looks an authority up by its name


# Antifraud and Envoy


def test_a_replica_can_use_its_certificate(cluster: Cluster) -> None:
    settings = read_antifraud(cluster.environment(PRODUCTION, "antifraud"))
    assert antifraud_tls.credentials(settings) is not None


@pytest.mark.parametrize(
    ("name", "certificate_file", "key_file", "names"),
    [
        ("antifraud", "ANTIFRAUD_TLS_CERTIFICATE", "ANTIFRAUD_TLS_KEY", ["antifraud"]),
        ("bff", "TLS_CERTIFICATE", "TLS_KEY", ["bff.payments", "bff.payments.svc", "payments.example.com"]),
    ],
)
def test_a_server_of_ours_shows_the_certificate_that_is_for_its_names(
    name: str, certificate_file: str, key_file: str, names: list[str], cluster: Cluster
) -> None:
    said = cluster.environment(PRODUCTION, name)
    server = serving(Pair(Path(said[certificate_file]), Path(said[key_file])))
    client = ssl.create_default_context(cadata=cluster.objects["configMap", "payments", "trusted"]["ca.pem"])
    for one in names:
        handshake(client, server, one)


def test_the_probe_names_what_the_replicas_certificate_is_for() -> None:
    for kind in ("startup", "readiness", "liveness"):
        probe = container(PRODUCTION, "antifraud")[f"{kind}Probe"]
        assert probe["exec"]["command"][:3] == ["python", "-m", "antifraud.probe"]
        assert probe["exec"]["command"][3:] == certificate(PRODUCTION, "antifraud")["dnsNames"]
        assert "grpc" not in probe


def in_the_container(cluster: Cluster, folder: Path) -> str:
    """envoy.yaml as the container's command makes it, with this machine's paths."""
    (command,) = container(PRODUCTION, "envoy")["args"]
    text = command.split("&&")[0].replace("/tmp/envoy.yaml", str(folder / "envoy.yaml"))  # noqa: S108
    mounted = {
        path: cluster.on_disk(PRODUCTION, "envoy", path) for path in cluster.files(PRODUCTION, "envoy")
    }
    subprocess.run(
        ["sh", "-c", text.replace("/etc/envoy/envoy.yaml", str(mounted["/etc/envoy/envoy.yaml"]))], check=True
    )
    made = (folder / "envoy.yaml").read_text()
    for path, place in mounted.items():
        if path.endswith(".yaml"):
            place.write_text(place.read_text().replace("/etc/envoy", str(place.parent)))
        made = made.replace(path, str(place))
    return made


def test_envoy_has_the_native_stacks_mtls(cluster: Cluster, tmp_path: Path) -> None:
    found = yaml.safe_load(in_the_container(cluster, tmp_path))
    pair = cluster.pairs["payments", "envoy-tls"]
    ca = cluster.pairs["payments", "authority"].certificate
    text = (compose.ROOT / "infra/envoy/envoy.yaml").read_text()
    natively = yaml.safe_load(native_envoy.with_mtls(text, tmp_path, pair, pair, ca))
    assert found["node"] == natively["node"]
    for kind in ("listeners", "clusters"):
        (here,), (there,) = found["static_resources"][kind], natively["static_resources"][kind]
        here, there = (one.get("filter_chains", [one])[0]["transport_socket"] for one in (here, there))
        assert _without_paths(here) == _without_paths(there)
        for path in _paths(here):
            (secret,) = yaml.safe_load(Path(path).read_text())["resources"]
            (wanted,) = yaml.safe_load((tmp_path / f"envoy-{secret['name']}.yaml").read_text())["resources"]
            watched = secret.get("tls_certificate") or secret["validation_context"]
            # Kubernetes moves the folder when it renews the files.
            assert watched.pop("watched_directory") == {"path": str(Path(path).parent)}
            assert _texts(secret) == _texts(wanted)


def _paths(socket: dict[str, Any]) -> list[str]:
    return re.findall(r"'path': '([^']+)'", str(socket))


def _without_paths(socket: dict[str, Any]) -> str:
    return re.sub(r"'path': '[^']+'", "'path'", str(socket))


def _texts(secret: dict[str, Any]) -> str:
    """With what is in the files in place of their names."""
    return re.sub(r"'filename': '([^']+)'", lambda found: Path(found[1]).read_text(), str(secret))


def test_envoy_accepts_its_configuration_and_finds_the_replicas_by_their_certificates_name(
    cluster: Cluster, tmp_path: Path
) -> None:
    made = in_the_container(cluster, tmp_path)
    (tmp_path / "envoy.yaml").write_text(made)
    done = subprocess.run(
        [str(binary("envoy")), "--mode", "validate", "-c", str(tmp_path / "envoy.yaml")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (upstream,) = yaml.safe_load(made)["static_resources"]["clusters"]
    context = upstream["transport_socket"]["typed_config"]["common_tls_context"][
        "combined_validation_context"
    ]
    matched = context["default_validation_context"]["match_typed_subject_alt_names"]
    names = [one["matcher"]["exact"] for one in matched if one["san_type"] == "DNS"]
    assert names == certificate(PRODUCTION, "antifraud")["dnsNames"]


# The scripts


def test_nobody_else_can_read_what_passwords_sh_makes_and_each_password_is_another(cluster: Cluster) -> None:
    folder = cluster.folder / "new"
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.rglob("*")} == {0o600, 0o700}
    texts = " ".join(path.read_text() for path in folder.rglob("*") if path.is_file())
    assert len(set(re.findall(r"[0-9a-f]{48}", texts))) == 5


def test_passwords_sh_writes_over_nothing(cluster: Cluster) -> None:
    command = ["sh", str(kubernetes.FOLDER / "passwords.sh"), str(cluster.folder / "new")]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_a_second_name_is_one_more_user_of_each_server(tmp_path: Path) -> None:
    command = ["sh", str(kubernetes.FOLDER / "passwords.sh"), str(tmp_path / "next"), "payments-2"]
    subprocess.run(command, check=True)
    assert "rediss://payments-2:" in (tmp_path / "next/payments/redis-url").read_text()
    assert "\nuser payments-2 on >" in (tmp_path / "next/payments-data/redis.acl").read_text()
    roles = (tmp_path / "next/roles.cql").read_text()
    assert roles.startswith('CREATE ROLE "payments-2" WITH')
    assert "ALTER" not in roles  # the superuser's has been changed


def test_the_page_makes_each_secret_that_no_operator_makes(cluster: Cluster) -> None:
    commands = "\n".join(clusters.shell_blocks(PAGE.read_text()))
    for line in (
        "create secret generic passwords --from-file=passwords/payments",
        "create secret generic passwords --from-file=passwords/payments-data",
        "create secret generic bff-tokens --from-file=tokens",
        "create configmap trusted --from-file=ca.pem",
        "sh infra/kubernetes/passwords.sh passwords",
        "sh infra/kubernetes/trusted.sh > ca.pem",
    ):
        assert line in commands, line
    by_hand = {("payments", "passwords"), ("payments-data", "passwords"), ("payments", "bff-tokens")}
    by_operators = {("payments-data", "payments-cluster-ca-cert")}
    secrets = {(namespace, name) for kind, namespace, name in cluster.objects if kind == "secret"}
    assert secrets - cluster.pairs.keys() == by_hand | by_operators


def test_while_passwords_are_changed_redis_and_the_registry_know_both_users(
    cluster: Cluster, tmp_path: Path
) -> None:
    """The page's own commands, with a kubectl that does nothing; and a real Redis."""
    (block,) = (one for one in clusters.shell_blocks(PAGE.read_text()) if "next/both.acl" in one)
    (tmp_path / "passwords").symlink_to(cluster.folder / "new")
    (tmp_path / "kubectl").write_text("#!/bin/sh\ncat >/dev/null\n")
    (tmp_path / "kubectl").chmod(0o700)
    script = f"set -e; sh '{kubernetes.FOLDER}/passwords.sh' next payments-2\n{block}"
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-c", script], cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, check=True)
    users = dict(
        line.rsplit(".", 1)[1].split("=")
        for line in (tmp_path / "next/both.properties").read_text().splitlines()
        if "embedded.users." in line
    )
    for name, folder in (("payments", "passwords"), ("payments-2", "next")):
        of_registry = urlsplit((tmp_path / folder / "payments/registry-url").read_text())
        assert (of_registry.username, users[name]) == (name, of_registry.password)
        of_redis = urlsplit((tmp_path / folder / "payments/redis-url").read_text())
        assert answers(tmp_path, str(of_redis.username), str(of_redis.password))
    assert not answers(tmp_path, "payments", "another password")


def test_the_files_that_the_page_names_are_all_that_say_which_passwords_are_used(tmp_path: Path) -> None:
    """Its second step: another Secret and another name, in one apply."""
    step = re.search(
        r"becomes\s+`passwords-2` \((.+?)\) and the names `payments-2` \((.+?)\)", PAGE.read_text()
    )
    assert step
    shutil.copytree(compose.ROOT / "infra", tmp_path / "infra")
    overlay = tmp_path / "infra/kubernetes" / PRODUCTION
    for file in (*step[1].split(", "), step[2]):
        text = (overlay / file).read_text().replace("name: passwords", "name: passwords-2")
        (overlay / file).write_text(re.sub(r"(_USERNAME=payments)$", r"\1-2", text, flags=re.MULTILINE))
    command = [kubernetes.kubectl(), "kustomize", str(overlay)]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "name: passwords-2\n" in made
    assert "name: passwords\n" not in made
    assert not re.search(r"_USERNAME: payments$", made, re.MULTILINE)


def answers(folder: Path, name: str, password: str) -> bool:
    """Whether a Redis with the folder's list of users lets this one in."""
    words = [
        "--port",
        "0",
        "--unixsocket",
        "redis.sock",
        "--save",
        "",
        "--aclfile",
        str(folder / "next/both.acl"),
    ]
    with subprocess.Popen([str(binary("redis")), *words], cwd=folder, stdout=subprocess.DEVNULL) as server:
        try:
            for _ in range(200):
                if (folder / "redis.sock").exists():
                    break
                time.sleep(0.05)
            client = redis.Redis(
                unix_socket_path=str(folder / "redis.sock"), username=name, password=password
            )
            return bool(client.ping())
        except redis.AuthenticationError:
            return False
        finally:
            server.terminate()


def test_trusted_sh_fails_when_one_of_them_is_missing(tmp_path: Path) -> None:
    (tmp_path / "kubectl").write_text('#!/bin/sh\n[ "$5" != payments-cluster-ca-cert ]\n')
    (tmp_path / "kubectl").chmod(0o700)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", str(kubernetes.FOLDER / "trusted.sh")], env=environment, capture_output=True, check=False
    )
    assert done.returncode != 0
