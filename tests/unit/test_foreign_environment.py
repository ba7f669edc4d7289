"""Variables that shells, images and clusters set for other programs change nothing here."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from unittest import mock

import pytest
from schema_registry.client import SchemaRegistryClient

from app.assessment.client import _CHANNEL
from app.bootstrap import create_app
from app.messaging import topics
from app.settings import Settings, settings
from infra.native import paths, ports
from infra.native.supervisor import is_passed_on

ROOT = Path(__file__).parents[2]

#: Faust's own variables, each of which would override what the app says.
FAUSTS = {
    "APP_VERSION": "1.4.2",
    "APP_DEBUG": "1",
    "APP_STORE": "rocksdb://",
    "APP_WEB_ENABLED": "false",
    "APP_ENV_PREFIX": "X_",
    "AGENT_SUPERVISOR": "mode.CrashingSupervisor",
    "BLOCKING_TIMEOUT": "1",
    "BROKER_URL": "amqp://rabbit",
    "BROKER_CONSUMER_URL": "kafka://elsewhere",
    "BROKER_COMMIT_INTERVAL": "60",
    "BROKER_MAX_POLL_RECORDS": "1",
    "BROKER_SESSION_TIMEOUT": "600",
    "CACHE_URL": "redis://elsewhere",
    "CONSUMER_AUTO_OFFSET_RESET": "latest",
    "NODE_CANONICAL_URL": "http://elsewhere",
    "PROCESSING_GUARANTEE": "exactly_once",
    "STREAM_WAIT_EMPTY": "true",
    "TIMEZONE": "no such zone",
    "TOPIC_DISABLE_LEADER": "false",
    "WEB_BIND": "0.0.0.0",
    "WEB_HOST": "elsewhere",
}
#: A random name, and how Faust would look for variables that it is not given.
VARY = ("reply_to", "env_prefix")
#: Those that no part of the stack gets.
FOR_OTHERS = [
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "PYTHONSAFEPATH",
    "PYTHONHOME",
]
#: Those that each part needs.
OURS = ["PATH", "HOME", "KAFKA_BROKERS", "REDIS_URL", "JDK_JAVA_OPTIONS", "APPROVED_THRESHOLD", "LANG", "TZ"]


def configured(monkeypatch: pytest.MonkeyPatch, **changes: str) -> dict[str, str]:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    conf = create_app("transactions").conf
    return {name: str(getattr(conf, name)) for name in conf.SETTINGS if name not in VARY}


@pytest.mark.filterwarnings("ignore:.*deprecated since Faust")
@pytest.mark.parametrize("name", FAUSTS)
def test_a_variable_of_faust_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert configured(monkeypatch) == configured(monkeypatch, **{name: FAUSTS[name]})


@pytest.mark.parametrize("name", FOR_OTHERS)
def test_other_programs_variables_reach_no_process(name: str) -> None:
    assert not is_passed_on(name)


@pytest.mark.parametrize("name", OURS)
def test_a_process_gets_the_variables_it_needs(name: str) -> None:
    assert is_passed_on(name)


def test_antifraud_and_the_registry_are_never_asked_through_a_proxy() -> None:
    assert dict(_CHANNEL)["grpc.enable_http_proxy"] == 0
    made: list[SchemaRegistryClient] = []

    def registered(client: SchemaRegistryClient, *_: object) -> int:
        made.append(client)
        return 1

    with (
        mock.patch.object(topics, "_registered", registered),
        mock.patch.object(topics, "keep_compatible"),
    ):
        topics.register_now(Settings(), topics.CREATED)
    assert made[0].client_kwargs["trust_env"] is False


def test_blanks_between_hosts_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASSANDRA_HOSTS", " a, b ,")
    monkeypatch.setenv("KAFKA_BROKERS", "a:1, b:2")
    assert (Settings().cassandra_hosts, Settings().kafka_brokers) == ("a,b", "a:1,b:2")


def test_the_launcher_finds_the_same_nodes_as_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASSANDRA_HOSTS", " 127.0.0.5, 127.0.0.6 ,")
    monkeypatch.setenv("CASSANDRA_PORT", "")
    assert ",".join(ports.cassandra_hosts()) == Settings().cassandra_hosts
    assert ports.cassandra_port() == Settings().cassandra_port


def test_without_a_home_the_downloads_stay_in_the_checkout() -> None:
    said = subprocess.run(
        ["make", "-f", "-", "show"],
        input="include Makefile\nshow:\n\t@env\n",
        env={name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")},
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    assert f"HOME={ROOT / '.stack'}" in said
    with mock.patch.dict(os.environ):
        for name in ("HOME", "XDG_CACHE_HOME"):
            os.environ.pop(name, None)
        assert paths.cache() == ROOT / ".stack" / ".cache" / "faust-payments"


def test_a_link_of_kubernetes_in_place_of_a_port_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASSANDRA_PORT", "tcp://10.0.0.7:9042")
    with pytest.raises(SystemExit) as ended:
        settings.__wrapped__()
    assert "CASSANDRA_PORT" in str(ended.value.code)
    assert "enableServiceLinks" in str(ended.value.code)


def test_make_asks_this_machine_itself_and_python_finds_this_folder() -> None:
    names = "intern,[::1]"
    proxies = {
        "http_proxy": "http://127.0.0.1:9",
        "NO_PROXY": names,
        "no_proxy": names,
        "PYTHONSAFEPATH": "1",
    }
    said = subprocess.run(
        ["make", "-f", "-", "show"],
        input="include Makefile\nshow:\n\t@env\n",
        env=os.environ | proxies | {"PIP_USER": "1"},
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=True,
    ).stdout.splitlines()
    assert "no_proxy=intern,[::1],127.0.0.1,localhost" in said
    assert not [line for line in said if line.startswith(("PYTHONSAFEPATH=", "PIP_USER="))]
