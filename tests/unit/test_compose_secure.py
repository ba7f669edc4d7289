"""docker-compose.secure.yml over docker-compose.yml, with the files that infra/containers/secure.py makes."""

from __future__ import annotations

import re
import shlex
import ssl
import stat
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from antifraud import tls as antifraud_tls
from antifraud.settings import read as read_antifraud
from app import connections
from app.settings import Settings
from infra.containers import secure
from infra.native import ports
from tests.support import compose, kubernetes
from tests.support.cluster import DATA, PRODUCTION, handshake

PLAIN = compose.services()
ALL = compose.merged("docker-compose.yml", "docker-compose.secure.yml")
SERVICES, SECRETS = ALL["services"], ALL["secrets"]
APPS = ("bff", "transactions")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("compose") / "made"
    secure.make(made)
    return made


def files(name: str, folder: Path) -> dict[str, Path]:
    """What a container finds of the secrets: its path, and the file on this machine."""
    found = {}
    for one in SERVICES[name].get("secrets", []):
        source, target = (
            (one, f"/run/secrets/{one}") if isinstance(one, str) else (one["source"], one["target"])
        )
        place = Path(SECRETS[source]["file"])
        assert place.parent == secure.FOLDER.relative_to(secure.ROOT)
        found[target] = folder / place.name
    return found


@pytest.fixture(params=APPS)
def settings(request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    there = files(request.param, folder)
    for variable, value in SERVICES[request.param]["environment"].items():
        monkeypatch.setenv(variable, str(there.get(value, value)))
    return Settings()


def test_it_matches_the_compose_specification() -> None:
    compose.check("compose-spec", compose.read("docker-compose.secure.yml"))
    assert compose.read("docker-compose.secure.yml")["services"].keys() == PLAIN.keys() - {
        *("generator", "prometheus", "grafana")
    }


@pytest.mark.parametrize("name", SERVICES)
def test_it_publishes_nothing_more_and_all_of_it_on_loopback(name: str) -> None:
    """The bff there asks for no token: so docker-compose.yml's ALLOW_INSECURE stays."""
    assert SERVICES[name]["ports"] == PLAIN[name]["ports"]
    assert all(re.match(r"127\.\d+\.\d+\.\d+:", port) for port in SERVICES[name]["ports"])


@pytest.mark.parametrize("name", compose.read("docker-compose.secure.yml")["services"])
def test_each_file_that_a_container_is_told_of_is_mounted_and_nothing_else(name: str, folder: Path) -> None:
    mounted = files(name, folder)
    assert all(place.is_file() for place in mounted.values())
    said = [str(SERVICES[name].get(key, "")) for key in ("command", "environment", "healthcheck")]
    said += [place.read_text() for place in mounted.values() if place.name in ("kafka.properties", "cqlshrc")]
    said += [
        (compose.ROOT / f"infra/envoy/{one}.yaml").read_text()
        for one in ("server", "trusted")
        if name == "envoy"
    ]
    named = set(re.findall(r"/run/secrets/[\w.-]+|/etc/envoy/(?:tls|ca)[\w.]+", " ".join(said)))
    by_hand = {"/run/secrets/cqlshrc"} if name.startswith("scylla") else set()  # docs/containers.md
    assert mounted.keys() == named | by_hand


def test_every_connection_has_tls_and_a_name_and_the_files_can_be_used(settings: Settings) -> None:
    assert settings.kafka_tls
    assert settings.cassandra_tls
    assert settings.antifraud_tls
    assert connections.redis_uses_tls(settings)
    assert connections.registry_uses_tls(settings)
    assert settings.kafka_username == settings.cassandra_username == secure.USER
    connections.check(settings)


def test_a_name_has_the_same_password_on_both_sides(settings: Settings, folder: Path) -> None:
    users = (folder / "kafka.users").read_text().splitlines()
    password = settings.kafka_password.get_secret_value()
    assert f"SCRAM-SHA-512=[name={settings.kafka_username},password={password}]" in users
    password = settings.cassandra_password.get_secret_value()
    role = f"CREATE ROLE {settings.cassandra_username} WITH PASSWORD = '{password}'"
    assert role in (folder / "roles.cql").read_text()
    redis, registry = (
        urlsplit(url.get_secret_value()) for url in (settings.redis_url, settings.schema_registry_url)
    )
    users_of_redis = f"user default off\nuser {redis.username} on >{redis.password} ~* &* +@all\n"
    assert (folder / "redis.acl").read_text() == users_of_redis
    assert f"users.{registry.username}={registry.password}\n" in (folder / "users.properties").read_text()
    for url, plain in ((redis, "REDIS_URL"), (registry, "SCHEMA_REGISTRY_URL")):
        there = urlsplit(PLAIN["bff"]["environment"][plain])
        assert (url.hostname, url.port, url.path) == (there.hostname, there.port, there.path)


def test_each_server_is_trusted_by_every_name_that_it_is_called(settings: Settings, folder: Path) -> None:
    context, server = connections.new_context(settings), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    addresses = [SERVICES[f"scylla-{node}"]["networks"]["default"]["ipv4_address"] for node in (1, 2, 3)]
    names = {
        *("kafka", "registry", "redis", "envoy", "antifraud-1", "antifraud-2"),
        *(settings.cassandra_hosts.split(",")),
        *addresses,
        # By which it is called from this machine.
        *(endpoint.host for found in ports.table().values() for endpoint in found),
    }
    for name in names:
        handshake(context, server, name)
    assert tuple(addresses) == secure.ADDRESSES
    subnet = ALL["networks"]["default"]["ipam"]["config"][0]
    assert (
        subnet["subnet"]
        == compose.read("docker-compose.local.yml")["networks"]["default"]["ipam"]["config"][0]["subnet"]
    )


def test_kafka_is_the_native_secured_one_with_a_second_listener(folder: Path) -> None:
    text = (folder / "kafka.properties").read_text()
    last = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    plain = PLAIN["kafka"]["environment"]
    for name in ("listeners", "advertised.listeners"):
        there = plain[f"KAFKA_{name.replace('.', '_').upper()}"]
        here = last[name].replace("CONTROLLER://localhost", "CONTROLLER://0.0.0.0")
        assert here == there.replace("PLAINTEXT://", "SASL_SSL://")
    assert last["log.dirs"] == plain["KAFKA_LOG_DIRS"]
    assert "PLAINTEXT" not in last["listener.security.protocol.map"]
    natively = (compose.ROOT / "infra/kafka/secure.properties").read_text()
    secured = dict(
        line.split("=", 1) for line in natively.splitlines() if "=" in line and not line.startswith("#")
    )
    secured["listener.security.protocol.map"] += ",HOST:SASL_SSL"
    assert {name: set(last[name].split(",")) for name in secured} == {
        name: set(value.split(",")) for name, value in secured.items()
    }
    (*_, command) = SERVICES["kafka"]["command"]
    assert (
        "--cluster-id 5L6g3nShT-eMCtK--X86sw" in command
    )  # the image's default: storage of before stays as it is
    assert compose.shell_text(command).count("$(sed 's/^/--add-scram /' /run/secrets/kafka.users)") == 1


def test_redis_and_the_registry_are_told_what_they_are_on_kubernetes() -> None:
    there = kubernetes.container(kubernetes.workloads(DATA)["redis"])["args"]
    here = shlex.split(SERVICES["redis"]["command"].removeprefix(PLAIN["redis"]["command"]))
    assert SERVICES["redis"]["command"].startswith(PLAIN["redis"]["command"])
    assert [word for word in here if "/" not in word] == [word for word in there if "/" not in word]
    on_kubernetes = kubernetes.environment(DATA, "registry")
    said = SERVICES["registry"]["environment"]
    assert said.keys() == on_kubernetes.keys()
    for name, value in said.items():
        assert "/" in value or value == on_kubernetes[name]


def test_scylladb_has_on_its_one_port_what_it_has_on_kubernetes() -> None:
    config = yaml.safe_load((kubernetes.FOLDER / DATA / "scylla.yaml").read_text())
    for node in ("scylla-1", "scylla-2", "scylla-3"):
        words, plain = shlex.split(SERVICES[node]["command"]), shlex.split(PLAIN[node]["command"])
        assert words[: len(plain)] == plain
        said = dict(zip(words[len(plain) :: 2], words[len(plain) + 1 :: 2], strict=True))
        assert said["--authenticator"] == config["authenticator"]
        options = dict(one.split("=") for one in said["--client-encryption-options"].split(":"))
        wanted = config["client_encryption_options"]
        assert options.keys() == wanted.keys()
        for name in ("enabled", "optional", "require_client_auth"):
            assert options[name] == str(wanted[name]).lower()


def test_envoy_is_as_before_with_mtls_as_on_kubernetes() -> None:
    (here,), (plain,) = SERVICES["envoy"]["command"], PLAIN["envoy"]["command"]
    mtls = "-e 's/# mtls: //' "
    assert mtls in here
    assert here.replace(mtls, "") == plain
    assert mtls in kubernetes.container(kubernetes.workloads(PRODUCTION)["envoy"])["args"][0]
    mounted = [volume.split(":")[1] for volume in SERVICES["envoy"]["volumes"]]
    assert sorted(mounted) == [f"/etc/envoy/{name}.yaml" for name in ("envoy", "server", "trusted", "worker")]


@pytest.mark.parametrize("name", ["antifraud-1", "antifraud-2"])
def test_a_replica_can_use_its_certificate_and_is_asked_over_tls(name: str, folder: Path) -> None:
    there = files(name, folder)
    said = {key: str(there.get(value, value)) for key, value in SERVICES[name]["environment"].items()}
    assert antifraud_tls.credentials(read_antifraud(said)) is not None
    assert SERVICES[name]["healthcheck"]["test"] == ["CMD", "python", "-m", "antifraud.probe", "antifraud"]
    assert "antifraud" in secure.NAMES


def test_nobody_else_on_this_machine_can_read_what_is_made(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "authority.key").stat().st_mode) == 0o600
    # The containers' users are others.
    readable = {stat.S_IMODE((folder / Path(one["file"]).name).stat().st_mode) for one in SECRETS.values()}
    assert readable == {0o644}


def test_made_once_more_there_are_new_certificates_and_the_passwords_that_the_servers_have(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "made"
    secure.make(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    secure.make(folder)
    changed = {path.name for path in folder.iterdir() if before.get(path.name) != path.read_bytes()}
    of_certificates = {name for name in before if Path(name).suffix in (".pem", ".key", ".csr", ".srl")}
    assert changed == of_certificates
    trusting = ssl.create_default_context(cafile=folder / "authority.pem")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.pem", folder / "server.key")
    handshake(trusting, server, "kafka")


def test_no_password_is_in_the_file() -> None:
    text = (compose.ROOT / "docker-compose.secure.yml").read_text()
    assert not re.search(r"://[^/\s]*:[^/\s]*@|[0-9a-f]{32}", text)
