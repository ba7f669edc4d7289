"""`make up SECURE=1`: what it makes, who can read it, and what the servers are started with."""

from __future__ import annotations

import stat
import subprocess
from pathlib import Path

import pytest
import yaml

from app.settings import Settings
from infra.native import brokers, cassandra, envoy, kafka, paths, redis, registry, secure, supervisor
from infra.native.brokers import FORMATTED
from infra.native.certificates import authority, certificate, lasts
from reconciliation import demo

ODD = "50% of a #1 repository; it's $HOME"


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a stack in a folder of an awkward name."""
    folder = tmp_path / ODD / "data"
    for module in (secure, paths):
        monkeypatch.setattr(module, "DATA", folder)
        monkeypatch.setattr(module, "SECURE", folder / "secure")
    monkeypatch.setattr(secure, "SETTINGS", folder / "secure/environment")
    monkeypatch.setattr(paths, "RUN", tmp_path / ODD / "run")
    monkeypatch.setattr(secure, "redis_has_tls", lambda: False)
    for name in ("KAFKA_BROKERS", "REDIS_URL", "SCHEMA_REGISTRY_URL", "CASSANDRA_HOSTS"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def secured(data: Path) -> Path:
    secure.decide(True)
    return data / "secure"


def test_without_it_nothing_is_made_and_nothing_is_set(data: Path) -> None:
    secure.decide(False)
    assert not data.exists()
    assert secure.environment() == {}


def test_nobody_else_can_read_a_password_or_a_key(secured: Path) -> None:
    assert stat.S_IMODE(secured.stat().st_mode) == 0o700
    held = [path for path in secured.iterdir() if path.suffix not in (".pem", ".csr", ".srl")]
    held.append(secure.both())
    assert len(held) > 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in held} == {0o600}


def test_certificates_are_made_anew_in_their_last_month_while_the_stack_is_down(secured: Path) -> None:
    first = secure.server().certificate.read_text()
    secure.decide(False)
    assert secure.server().certificate.read_text() == first
    old = authority(secured, days=20)
    soon = certificate(old, secured, "server", 20).certificate.read_text()
    secure.decide(False, is_up=True)
    assert secure.server().certificate.read_text() == soon
    passwords = secure.password("kafka")
    secure.decide(False)
    assert secure.server().certificate.read_text() not in (first, soon)
    assert secure.both().read_text().endswith(secure.server().certificate.read_text())
    assert lasts(secure.server().certificate, 300)
    assert secure.password("kafka") == passwords


def test_each_stack_has_passwords_of_its_own_and_keeps_them(secured: Path) -> None:
    passwords = {path.name: path.read_text() for path in secured.glob("*.password")}
    assert len(set(passwords.values())) == len(passwords) == 6
    secure.decide(True)
    assert {path.name: path.read_text() for path in secured.glob("*.password")} == passwords


def test_data_of_a_stack_without_passwords_are_not_taken_over(data: Path) -> None:
    (data / "kafka").mkdir(parents=True)
    (data / "kafka" / FORMATTED).touch()
    with pytest.raises(SystemExit, match="make clean, then make up SECURE=1"):
        secure.decide(True)
    assert not secure.is_on()


def test_the_workers_and_the_shell_have_the_same_settings(
    secured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = f'. "{secured}/environment"; printf "%s|%s" "$TLS_CA" "$KAFKA_USERNAME"'.replace(
        "$HOME", "\\$HOME"
    )
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, timeout=10)
    assert shell.stdout == f"{secured}/authority.pem|payments"
    for name, value in secure.environment().items():
        monkeypatch.setenv(name, value)
    values = Settings()
    assert values.tls_ca == f"{secured}/authority.pem"
    assert values.kafka_password.get_secret_value() == secure.password("kafka")
    assert values.schema_registry_url.get_secret_value().startswith("https://payments:")


def test_no_password_is_among_a_servers_words(secured: Path) -> None:
    words = [*redis.command(), *registry.command(), *cassandra.command(1), *envoy.command()]
    for path in secured.glob("*.password"):
        assert path.read_text() not in " ".join(words)


def properties(node: int, secured: Path) -> dict[str, str]:
    lines = kafka.properties(node, secured).splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_kafka_listens_to_those_with_a_password_alone(secured: Path) -> None:
    last = properties(1, secured)
    assert last["listeners"] == "SASL_SSL://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093"
    assert last["advertised.listeners"] == "SASL_SSL://127.0.0.1:9092"
    assert "PLAINTEXT" not in last["listener.security.protocol.map"]
    assert last["sasl.enabled.mechanisms"] == "SCRAM-SHA-512"
    assert last["inter.broker.listener.name"] == "SASL_SSL"


@pytest.mark.parametrize("node", [1, 2, 3])
def test_so_do_three_brokers_and_they_know_each_other_by_a_password_and_a_certificate(
    node: int, secured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brokers, "count", lambda: 3)
    said = properties(node, secured)
    client, controller = 9082 + 10 * node, 9083 + 10 * node
    assert said["listeners"] == f"SASL_SSL://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}"
    assert said["listener.security.protocol.map"] == "SASL_SSL:SASL_SSL,CONTROLLER:SSL"
    assert said["listener.name.controller.ssl.client.auth"] == "required"
    assert said["sasl.mechanism.inter.broker.protocol"] == "SCRAM-SHA-512"
    assert secure.password("broker") in said["listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config"]
    assert said["controller.quorum.voters"] == "1@127.0.0.1:9093,2@127.0.0.1:9103,3@127.0.0.1:9113"
    assert said["default.replication.factor"] == "3"


def test_cassandra_asks_for_a_password_and_is_encrypted_on_both_sides(secured: Path) -> None:
    settings = yaml.safe_load(cassandra.settings(1))
    assert settings["authenticator"] == "PasswordAuthenticator"
    assert settings["client_encryption_options"]["optional"] is False
    assert settings["server_encryption_options"]["internode_encryption"] == "all"
    assert settings["client_encryption_options"]["keystore"] == str(secure.both())


def test_envoy_asks_workers_for_a_certificate_and_shows_replicas_one(secured: Path) -> None:
    text = (paths.INFRA / "envoy/envoy.yaml").read_text()
    folder = paths.run()
    made = yaml.safe_load(envoy.with_mtls(text, folder, secure.server(), secure.worker(), secure.trusted()))
    plain = yaml.safe_load(text)
    (listener,), (cluster,) = (made["static_resources"][kind] for kind in ("listeners", "clusters"))
    down = listener["filter_chains"][0].pop("transport_socket")["typed_config"]
    assert down["require_client_certificate"] is True
    up = cluster.pop("transport_socket")["typed_config"]["common_tls_context"]
    for name, config in (("server", down["common_tls_context"]), ("worker", up)):
        (source,) = config["tls_certificate_sds_secret_configs"]
        path = Path(source["sds_config"]["path_config_source"]["path"])
        (secret,) = yaml.safe_load(path.read_text())["resources"]
        shown = secret["tls_certificate"]["certificate_chain"]["filename"]
        assert (secret["name"], shown) == (name, f"{secured}/{name}.pem")
    assert made.pop("node")
    assert made == plain


def test_who_reads_without_a_name_says_so_at_once(secured: Path) -> None:
    with pytest.raises(SystemExit, match="of a secured stack"), demo.running(""):
        raise AssertionError("it began")


def test_make_up_hands_secure_to_no_part() -> None:
    assert not supervisor.is_passed_on("SECURE")
