"""Between the parts: with the right names and certificates each part takes us; else a line says what to put right."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from app import connections
from app.assessment.client import Antifraud
from app.errors import PipelineError
from app.messaging import refusals, topics
from app.messaging.producer import EventProducer
from app.settings import Settings, described
from app.stores.cassandra import Cassandra
from app.stores.recent_transactions import RecentTransactions
from infra.native import ports
from infra.native.certificates import certificate
from tests.integration.secured import HOST, Secured, started
from tests.support.tls_server import showing

#: Seconds in which a part that refuses us is named with its reason: a look each second, as a worker's.
WITHIN = 15.0
PARTS = ("kafka", "redis", "antifraud", "cassandra", "registry")
SETTING = {
    "kafka": "KAFKA_TLS",
    "redis": "REDIS_URL",
    "antifraud": "ANTIFRAUD_TLS",
    "cassandra": "CASSANDRA_TLS",
    "registry": "SCHEMA_REGISTRY_URL",
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    refusals.install()
    with started(tmp_path_factory.mktemp("secured")) as parts:
        yield parts


async def kafka(settings: Settings) -> None:
    producer = EventProducer(settings)
    await producer.open()
    await producer.close()


async def redis(settings: Settings) -> None:
    recent = RecentTransactions(settings)
    await recent.open()
    await _pinged(recent.ping, recent.close)


async def antifraud(settings: Settings) -> None:
    client = Antifraud(settings)
    await client.open()
    await _pinged(client.ping, client.close)


async def cassandra(settings: Settings) -> None:
    client = Cassandra(settings)
    try:
        await client.open()
    finally:
        await client.close()


async def registry(settings: Settings) -> None:
    await topics.reader(settings, topics.CREATED)


async def _pinged(ping: Callable[[], Awaitable[None]], close: Callable[[], Awaitable[None]]) -> None:
    """Again and again, as app.health does: a client that learns the reason beside the call has it a ping later."""
    try:
        for _ in range(30):
            try:
                return await ping()
            except PipelineError as exc:
                failed = exc
                if any(words in str(exc) for words in ("see ", "not trusted", "refuses")):
                    break
                await asyncio.sleep(0.2)
        raise failed
    finally:
        await close()


def said(part: str, settings: Settings) -> str:
    """What a worker says of a part; empty where it is taken."""
    for known in (refusals._reasons, refusals._looks, refusals._known):
        known.clear()  # each case is a process of its own
    began = time.monotonic()
    try:
        asyncio.run(globals()[part](settings))
        words = ""
    except PipelineError as exc:
        words = str(exc)
    assert time.monotonic() - began < WITHIN
    for secret in (settings.kafka_password, settings.cassandra_password):
        assert not secret.get_secret_value() or secret.get_secret_value() not in words + described(settings)
    assert "\n" not in words
    assert "hunter2" not in words + described(settings)
    return words


def at(secured: Secured, part: str, port: int, scheme_is_tls: bool = True) -> dict[str, Any]:
    """The settings by which a worker finds the part at a port of this machine."""
    address = f"127.0.0.1:{port}"
    found: dict[str, dict[str, Any]] = {
        "kafka": {"kafka_brokers": address},
        "redis": {
            "redis_url": secured.redis_url("payments", "x", "rediss" if scheme_is_tls else "redis", port)
        },
        "antifraud": {"antifraud_address": address},
        "cassandra": {"cassandra_hosts": "127.0.0.1", "cassandra_port": port},
        "registry": {
            "schema_registry_url": secured.registry_url(
                "payments", "x", "https" if scheme_is_tls else "http", "127.0.0.1", port
            )
        },
    }
    return found[part]


@pytest.mark.parametrize("part", PARTS)
def test_with_its_name_password_and_authority_a_worker_is_taken(secured: Secured, part: str) -> None:
    assert said(part, secured.settings()) == ""


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("kafka", {"kafka_password": "hunter2"}, "refuses KAFKA_USERNAME with KAFKA_PASSWORD"),
        ("redis", {"redis_url": "hunter2"}, "refuses the name or the password in REDIS_URL"),
        (
            "cassandra",
            {"cassandra_password": "hunter2"},
            "refuses CASSANDRA_USERNAME with CASSANDRA_PASSWORD",
        ),
        ("registry", {"schema_registry_url": "hunter2"}, "the name and the password in SCHEMA_REGISTRY_URL"),
    ],
)
def test_with_a_wrong_password_the_line_names_the_setting(
    secured: Secured, part: str, changes: dict[str, str], words: str
) -> None:
    urls = {
        "redis_url": secured.redis_url("payments", "hunter2"),
        "schema_registry_url": secured.registry_url("payments", "hunter2"),
    }
    assert words in said(
        part, secured.settings(**{name: urls.get(name, text) for name, text in changes.items()})
    )


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        ("kafka", {"kafka_username": "", "kafka_password": ""}, "see KAFKA_USERNAME"),
        ("redis", {"redis_url": "rediss://127.0.0.1:{redis}/0"}, "the name or the password in REDIS_URL"),
        ("cassandra", {"cassandra_username": "", "cassandra_password": ""}, "see CASSANDRA_USERNAME"),
        (
            "registry",
            {"schema_registry_url": f"https://{HOST}:8081/apis/ccompat/v7"},
            "the name and the password in SCHEMA_REGISTRY_URL",
        ),
        ("antifraud", {"tls_client_certificate": "", "tls_client_key": ""}, "see TLS_CLIENT_CERTIFICATE"),
    ],
)
def test_without_a_name_the_line_says_which_is_missing(
    secured: Secured, part: str, changes: dict[str, str], words: str
) -> None:
    changes = {name: text.replace("{redis}", str(secured.redis)) for name, text in changes.items()}
    assert words in said(part, secured.settings(**changes))


@pytest.mark.parametrize("part", PARTS)
def test_a_server_of_another_authority_is_not_trusted(secured: Secured, part: str) -> None:
    words = said(part, secured.settings(tls_ca=str(secured.foreign.certificate)))
    assert "its certificate is of no authority that we accept (TLS_CA)" in words


@pytest.mark.parametrize("part", PARTS)
def test_a_server_whose_certificate_has_expired_is_not_trusted(secured: Secured, part: str) -> None:
    with showing(secured.expired) as port:
        words = said(part, secured.settings(**at(secured, part, port)))
    assert "its certificate has expired" in words


@pytest.mark.parametrize("part", PARTS)
def test_plain_text_to_a_tls_port_is_named(secured: Secured, part: str) -> None:
    plain: dict[str, dict[str, Any]] = {
        "kafka": {"kafka_tls": False},
        "redis": at(secured, "redis", secured.redis, scheme_is_tls=False),
        "antifraud": {"antifraud_tls": False},
        "cassandra": {"cassandra_tls": False},
        "registry": {"schema_registry_url": f"http://{HOST}:8081/apis/ccompat/v7"},
    }
    words = said(part, secured.settings(**plain[part]))
    assert f"speaks TLS: see {SETTING[part]}" in words


@pytest.mark.parametrize("part", PARTS)
def test_tls_to_a_plain_port_is_named(secured: Secured, part: str) -> None:
    """The stack's own servers: they have none of this on."""
    name = {"antifraud": "envoy", "cassandra": "cassandra-1"}.get(part, part)
    words = said(part, secured.settings(**at(secured, part, ports.endpoints(name)[0].port)))
    assert f"does not answer in TLS: see {SETTING[part]}" in words


def test_envoy_takes_no_worker_of_another_authority(secured: Secured) -> None:
    theirs = certificate(secured.foreign, secured.folder, "foreign-worker")
    files = {"tls_client_certificate": str(theirs.certificate), "tls_client_key": str(theirs.key)}
    assert "does not accept our certificate" in said("antifraud", secured.settings(**files))


def test_a_replica_takes_no_call_that_does_not_come_with_a_certificate(secured: Secured) -> None:
    there = {"antifraud_address": f"127.0.0.1:{secured.replica}"}
    assert said("antifraud", secured.settings(**there)) == ""
    nobody = {"tls_client_certificate": "", "tls_client_key": ""}
    assert "see TLS_CLIENT_CERTIFICATE" in said("antifraud", secured.settings(**there, **nobody))


def test_envoy_shows_a_renewed_certificate_without_a_restart(secured: Secured) -> None:
    renewed = certificate(secured.authority, secured.folder, "renewed")
    names = secured.folder / "envoy-server.yaml"
    text = names.read_text()
    for old, new in (("server.pem", renewed.certificate), ("server.key", renewed.key)):
        text = text.replace(str(secured.secrets / old), str(new))
    (secured.folder / "new").write_text(text)
    (secured.folder / "new").rename(names)
    deadline = time.monotonic() + WITHIN
    while shown_by(secured, secured.envoy) != "renewed":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def shown_by(secured: Secured, port: int) -> str:
    """The name in the certificate that a port shows."""
    context = connections.new_context(secured.settings())
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        shown: Any = connection.getpeercert()
        return str(dict(shown["subject"][0])["commonName"])
