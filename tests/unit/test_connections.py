"""Between the parts: every client is opened with the settings' TLS and names, and wrong files are named at start."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faust
import pytest
from aiokafka.errors import KafkaConnectionError
from pydantic import SecretStr

from app import bootstrap, connections
from app.errors import WrongFile
from app.messaging import refusals
from app.settings import PREFIX, Settings, described, settings
from infra.native.certificates import Pair
from tests.support.tls_server import showing

APP = Path(connections.__file__).parent
#: What opens a connection to a part, and the argument by which it has the settings' TLS and names.
CLIENTS = {
    "AIOKafkaProducer": "connections.kafka",
    "AIOKafkaConsumer": "connections.kafka",
    "AIOKafkaAdminClient": "connections.kafka",
    "LogConsumer": "connections.kafka",
    "from_url": "connections.redis",
    "Cluster": "_security",
}
#: Calls that are right only in the function that looks at the settings, by the function's name.
ONLY_IN = {
    "insecure_channel": "channel",
    "secure_channel": "channel",
    "SchemaRegistryClient": "_client",
    "create_connection": "_of_tls _of_plain _answers_plainly",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the settings of the machine that runs the tests."""
    for name in Settings.model_fields:
        for variable in (name.upper(), f"{name.upper()}_FILE"):
            monkeypatch.delenv(variable, raising=False)
            monkeypatch.delenv(PREFIX + variable, raising=False)


def calls() -> Iterator[tuple[str, str, ast.Call, ast.AST]]:
    """File and function, name and call, of each call in the app; and the function."""
    for path in APP.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                if isinstance(call, ast.Call):
                    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
                    yield f"{path.name}: {function.name}", name, call, function


def test_no_client_is_opened_without_the_settings_tls_and_names() -> None:
    found = 0
    for where, name, call, function in calls():
        if name in CLIENTS:
            found += 1
            given = ast.unparse(call)
            by_variable = "**kafka" in given and "= (connections.kafka(" in ast.unparse(function)
            assert f"**{CLIENTS[name]}(" in given or by_variable, f"{where} opens {name} by itself"
            assert "bootstrap_servers" not in given, where
        if name in ONLY_IN:
            found += 1
            assert where.split(": ")[1] in ONLY_IN[name].split(), f"{where} opens {name} by itself"
        if name == "open_connection":
            found += 1
            assert "ssl=" in ast.unparse(call), f"{where} knows no TLS"
    assert found > 15


def test_on_this_machine_kafka_is_plain_and_asks_nobody() -> None:
    assert connections.kafka(Settings()) == {"bootstrap_servers": "127.0.0.1:9092"}
    assert connections.redis(Settings()) == {"url": "redis://127.0.0.1:6379/0"}
    assert not connections.uses_tls(Settings())
    assert bootstrap._credentials(Settings()) is None


def test_a_name_without_tls_and_with_it(made: dict[str, Pair]) -> None:
    named: dict[str, Any] = {"kafka_username": "me", "kafka_password": SecretStr("hunter2")}
    plain = connections.kafka(Settings(**named))
    assert (plain["security_protocol"], plain["sasl_mechanism"]) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    values = Settings(**named, kafka_tls=True, tls_ca=str(made["authority"].certificate))
    assert connections.kafka(values)["security_protocol"] == "SASL_SSL"
    faust_has = bootstrap._credentials(values)
    assert isinstance(faust_has, faust.SASLCredentials)
    assert (faust_has.protocol.value, faust_has.mechanism.value) == ("SASL_SSL", "SCRAM-SHA-512")
    assert faust_has.ssl_context is connections.tls_context(values)
    only_tls = Settings(kafka_tls=True, tls_ca=str(made["authority"].certificate))
    assert connections.kafka(only_tls)["security_protocol"] == "SSL"
    assert isinstance(bootstrap._credentials(only_tls), faust.SSLCredentials)


# Settings


def ended_by(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        settings.__wrapped__()
    return str(ended.value.code)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KAFKA_USERNAME", "KAFKA_PASSWORD"),
        ("KAFKA_PASSWORD", "KAFKA_USERNAME"),
        ("CASSANDRA_USERNAME", "CASSANDRA_PASSWORD"),
        ("TLS_CLIENT_KEY", "TLS_CLIENT_CERTIFICATE"),
    ],
)
def test_half_of_a_pair_ends_the_process_with_a_line(
    monkeypatch: pytest.MonkeyPatch, one: str, other: str
) -> None:
    words = ended_by(monkeypatch, **{one: "hunter2"})
    assert f"{one} is set and {other} is not" in words
    assert "hunter2" not in words


def test_a_secret_is_read_from_the_file_that_a_variable_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "url").write_text("rediss://me:hunter2@redis:6379/0\n")
    monkeypatch.setenv("KAFKA_USERNAME", "me")
    monkeypatch.setenv("KAFKA_PASSWORD_FILE", str(tmp_path / "password"))
    monkeypatch.setenv("PAYMENTS_REDIS_URL_FILE", str(tmp_path / "url"))
    values = settings.__wrapped__()
    assert values.kafka_password.get_secret_value() == "hunter2"
    assert values.redis_url.get_secret_value() == "rediss://me:hunter2@redis:6379/0"
    assert "hunter2" not in described(values)
    assert "KAFKA_PASSWORD=***" in described(values)
    assert "hunter2" not in repr(values)


def test_a_secrets_file_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "KAFKA_PASSWORD_FILE /nowhere cannot be read: FileNotFoundError" in ended_by(
        monkeypatch, KAFKA_PASSWORD_FILE="/nowhere"
    )
    (tmp_path / "empty").write_text("\n")
    assert "empty is empty" in ended_by(monkeypatch, KAFKA_PASSWORD_FILE=str(tmp_path / "empty"))
    words = ended_by(monkeypatch, KAFKA_PASSWORD="hunter2")
    assert "KAFKA_PASSWORD and KAFKA_PASSWORD_FILE are both set" in words
    assert "hunter2" not in words


# Files


def refused(**files: Path) -> str:
    with pytest.raises(WrongFile) as caught:
        connections.check(with_files(files))
    return str(caught.value)


def with_files(files: dict[str, Path]) -> Settings:
    given: dict[str, Any] = {name: str(path) for name, path in files.items()}
    return Settings(**given)


def test_a_file_that_cannot_be_used_is_named_with_its_setting(made: dict[str, Pair], tmp_path: Path) -> None:
    client, other, expired = made["client"], made["server"], made["expired"]
    (tmp_path / "text").write_text("no certificate")
    assert refused(tls_ca=tmp_path / "none").startswith("TLS_CA ")
    assert "TLS_CA" in refused(tls_ca=tmp_path / "text")
    assert "has no certificate" in refused(tls_ca=tmp_path / "text")
    pair = {"tls_client_certificate": client.certificate, "tls_client_key": client.key}
    assert "TLS_CLIENT_KEY" in refused(**pair | {"tls_client_key": tmp_path / "none"})
    assert "the key is another certificate's" in refused(**pair | {"tls_client_key": other.key})
    assert "certificate has expired" in refused(
        tls_client_certificate=expired.certificate, tls_client_key=expired.key
    )
    connections.check(with_files(pair))


def test_a_worker_and_a_command_end_with_that_line(
    monkeypatch: pytest.MonkeyPatch, made: dict[str, Pair]
) -> None:
    monkeypatch.setattr(bootstrap, "settings", lambda: Settings(tls_ca="/nowhere"))
    with pytest.raises(SystemExit, match="Wrong setting: TLS_CA /nowhere cannot be read: FileNotFoundError"):
        bootstrap.create_app("main")


# Why a port does not take us


def look(port: int, made: dict[str, Pair], trusting: str = "authority", *, tls: bool = True) -> str | None:
    context = connections.tls_context(Settings(tls_ca=str(made[trusting].certificate))) if tls else None
    return connections.what_is_wrong("127.0.0.1", port, context, "KAFKA_TLS")


def test_what_tls_has_against_a_port(made: dict[str, Pair]) -> None:
    with showing(made["server"]) as port:
        assert (
            look(port, made) == f"127.0.0.1:{port} hangs up after the handshake: see TLS_CLIENT_CERTIFICATE"
        )
        assert look(port, made, tls=False) == f"127.0.0.1:{port} speaks TLS: see KAFKA_TLS"
        untrusted = look(port, made, "another")
        assert untrusted
        assert untrusted.endswith("its certificate is of no authority that we accept (TLS_CA)")
    with showing(made["expired"]) as port:
        expired = look(port, made)
        assert expired
        assert expired.endswith("its certificate has expired")
    with showing(made["elsewhere"]) as port:
        elsewhere = look(port, made)
        assert elsewhere
        assert elsewhere.endswith("its certificate is for another address")


def test_a_port_without_tls_and_one_where_nobody_is(made: dict[str, Pair]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def answer(times: int) -> None:
            for _ in range(times):
                connection, _ = listening.accept()
                with connection:
                    connection.recv(1000)
                    connection.sendall(b"-ERR what is that?\r\n")

        answering = threading.Thread(target=answer, args=(2,))
        answering.start()
        assert look(port, made) == f"127.0.0.1:{port} does not answer in TLS: see KAFKA_TLS"
        assert look(port, made, tls=False) is None
        answering.join()
    assert look(port, made) is None
    assert look(port, made, tls=False) is None


def test_a_port_that_waits_for_the_end_of_a_line_and_one_that_hangs(
    made: dict[str, Pair], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LOOK_WITHIN", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert look(port, made) is None

        def answer() -> None:
            held = [
                listening.accept()[0] for _ in range(4)
            ]  # those of the look before, the handshake, the line
            held[-1].recv(100)
            held[-1].sendall(b"+PONG\r\n")

        answering = threading.Thread(target=answer)
        answering.start()
        assert look(port, made) == f"127.0.0.1:{port} does not answer in TLS: see KAFKA_TLS"
        answering.join()


def test_a_server_that_asks_for_a_certificate(made: dict[str, Pair]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made["server"].certificate, made["server"].key)
    context.load_verify_locations(made["authority"].certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def shake() -> None:
            connection, _ = listening.accept()
            with connection, pytest.raises(ssl.SSLError):
                context.wrap_socket(connection, server_side=True)

        shaking = threading.Thread(target=shake)
        shaking.start()
        words = look(listening.getsockname()[1], made)
        shaking.join()
    assert words
    assert "see TLS_CLIENT_CERTIFICATE" in words


def test_a_wrong_url_is_no_reason_to_fail(made: dict[str, Pair]) -> None:
    values: Any = Settings(redis_url="unix:///tmp/redis.sock")
    assert connections.look("unix:///tmp/redis.sock", values, "REDIS_URL") is None


@pytest.mark.parametrize("refused", ["a part with a URL", "a broker"])
def test_a_port_that_fails_is_looked_at_once_however_often_it_is_tried(
    refused: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[int]()

    def look(*_: Any) -> str:
        looks.append(1)
        return "it speaks TLS"

    async def fails(host: str, port: int, **_: Any) -> None:
        raise KafkaConnectionError

    async def tries() -> str | None:
        refusal, address = connections.Refusal(look), ("127.0.0.1", 7)
        found: str | None = None
        for _ in range(20):
            if refused == "a broker":
                with contextlib.suppress(KafkaConnectionError):
                    await refusals._noting(*address)
                found = refusals.reason()
            else:
                found = refusal.reason()
            await asyncio.sleep(0.02)
        return found

    monkeypatch.setattr(refusals, "_connect", fails)
    monkeypatch.setattr(refusals, "what_is_wrong", look)
    monkeypatch.setattr(refusals, "_reasons", {})
    monkeypatch.setattr(refusals, "_looks", defaultdict(connections.LastLook))
    assert asyncio.run(tries()) == "it speaks TLS"
    assert looks == [1]
    monkeypatch.setattr(connections, "LOOK_COUNTS", 0.01)
    monkeypatch.setattr(refusals, "_looks", defaultdict(connections.LastLook))
    looks.clear()
    asyncio.run(tries())
    assert len(looks) > 1, "and again, when a while has passed"
