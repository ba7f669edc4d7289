"""A bff of its own beside the stack, with everything of docs/security.md on; and what does not start."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from infra.native.certificates import Pair, authority, certificate
from infra.native.paths import BIN, ROOT
from reconciliation.readers import PATH
from tests.support.http import EXAMPLE, Answer, call

PORT, MANAGEMENT = 5061, 5062
#: The transactions worker's, beside it.
THEIRS, THEIR_MANAGEMENT = 5063, 5064
CUSTOMER, DESCRIPTION = "customer-of-the-log", "description of the log"
TOKENS = {scope: f"token-of-{scope}" for scope in ("write", "read", "label", "admin", "busy", "old")}
#: Of a token that is let through as often as this, and then waits.
BURST = 30


def line(name: str, scopes: str, token: str) -> str:
    return f"{name} {scopes} {hashlib.sha256(token.encode()).hexdigest()}\n"


def lines(**changes: str) -> str:
    scopes = {"busy": "read", "old": "read"}
    return "".join(line(name, scopes.get(name, name), token) for name, token in (TOKENS | changes).items())


@dataclass
class Started:
    """A worker: what it says, as it comes."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    def read(self) -> None:
        assert self.process.stdout
        for one in self.process.stdout:
            self.said.append(one)

    @property
    def log(self) -> str:
        return "".join(self.said)

    def says(self, words: str) -> bool:
        return words in self.log


@contextlib.contextmanager
def worker(app: str = "app.bff", **environment: str) -> Iterator[Started]:
    """`faust -A app.bff worker`, or another one, with these settings; ended afterwards."""
    others = {
        name: value
        for name, value in os.environ.items()
        if not re.search("LISTEN_HOST|ALLOW_INSECURE|TOKENS_FILE|TLS_|BFF_URL", name)
    }
    command = [str(BIN / "faust"), "-A", app, "worker", "--loglevel", "info"]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=others | {"WEB_PORT": str(PORT)} | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    started = Started(process)
    reading = threading.Thread(target=started.read)
    reading.start()
    try:
        yield started
    finally:
        process.terminate()
        try:
            process.wait(20)
        finally:
            process.kill()
            reading.join()


@dataclass
class Bff:
    """The one with everything on; and the transactions worker, which is asked in the same way."""

    started: Started
    folder: Path
    authority: Pair
    another: Pair
    port: int = PORT

    def ask(
        self,
        method: str,
        path: str = PATH,
        token: str | None = None,
        body: Any = None,
        headers: dict[str, str] | None = None,
        trusting: Pair | None = None,
    ) -> Answer:
        """One call over TLS."""
        context = ssl.create_default_context(cafile=str((trusting or self.authority).certificate))
        connection = HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)
        sent = {"Content-Type": "application/json"} if body is not None else {}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        with contextlib.closing(connection):
            connection.request(
                method, path, None if body is None else json.dumps(body), sent | (headers or {})
            )
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())

    def put(self, name: str, text: str) -> None:
        """A file in the place of another, as a whole."""
        (self.folder / "new").write_text(text)
        (self.folder / "new").rename(self.folder / name)


def until(what: Any, within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def bff(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bff]:
    folder = tmp_path_factory.mktemp("security")
    ours = authority(folder)
    certificate(ours, folder, "server")
    (folder / "tokens").write_text(lines())
    with worker(
        LISTEN_HOST="0.0.0.0",
        TOKENS_FILE=str(folder / "tokens"),
        TLS_CERTIFICATE=str(folder / "server.pem"),
        TLS_KEY=str(folder / "server.key"),
        MANAGEMENT_PORT=str(MANAGEMENT),
        RATE_LIMIT="5",
        RATE_LIMIT_BURST=str(BURST),
        LOG_CUSTOMER_DATA="0",
        LOG_EACH_TRANSACTION="1",
    ) as started:
        found = Bff(started, folder, ours, authority(folder, "another"))

        def is_ready() -> bool:
            assert started.process.poll() is None, started.log
            with contextlib.suppress(OSError):
                return found.ask("GET", "/health/ready").status == 200
            return False

        until(is_ready, 60)
        yield found
    assert started.process.returncode == 0, started.log


def body() -> dict[str, Any]:
    return EXAMPLE | {"customer_id": CUSTOMER, "description": DESCRIPTION}


def test_a_token_with_its_scope_is_served(bff: Bff) -> None:
    posted = bff.ask("POST", token=TOKENS["write"], body=body())
    assert posted.status == 201, posted
    one = f"{PATH}/{posted.json['transaction_id']}"
    shown = bff.ask("GET", f"{one}?wait=10", TOKENS["read"])
    assert shown.json["status"] in ("accepted", "rejected")
    assert bff.ask("POST", f"{one}/label", TOKENS["label"], {"label": "fraud"}).status == 201
    assert bff.ask("GET", "/api/v1/dead-letters", TOKENS["admin"]).status == 200
    assert bff.ask("GET", "/api/v1/system", TOKENS["read"]).status == 200


@pytest.mark.parametrize(
    ("token", "status", "kind"),
    [
        (None, 401, "unauthorized"),
        ("token-of-nobody", 401, "unauthorized"),
        (TOKENS["read"], 403, "scope-missing"),
    ],
)
def test_no_token_a_wrong_one_and_one_without_the_scope_send_nothing(
    bff: Bff, token: str | None, status: int, kind: str
) -> None:
    answer = bff.ask("POST", token=token, body=body())
    assert (answer.status, answer.json["type"]) == (status, f"/problems/{kind}")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_page_follows_the_events_with_the_cookie_of_its_session(bff: Bff) -> None:
    session = bff.ask("POST", "/api/v1/session", TOKENS["read"])
    assert session.status == 204
    attributes = session.headers["Set-Cookie"]
    for wanted in ("HttpOnly", "SameSite=Strict", "Secure", "Path=/api"):
        assert wanted in attributes
    context = ssl.create_default_context(cafile=str(bff.authority.certificate))
    connection = HTTPSConnection("127.0.0.1", PORT, timeout=10, context=context)
    with contextlib.closing(connection):
        connection.request("GET", f"{PATH}/events", headers={"Cookie": attributes.split(";")[0]})
        answer = connection.getresponse()
        assert answer.status == 200
        assert answer.readline() == b"retry: 1000\n"


def test_beyond_its_limit_a_token_gets_429_and_others_do_not(bff: Bff) -> None:
    found = [bff.ask("GET", f"{PATH}?limit=1", TOKENS["busy"]) for _ in range(BURST + 40)]
    statuses = [answer.status for answer in found]
    assert set(statuses[:BURST]) == {200}
    first = found[statuses.index(429)]
    assert first.headers["Retry-After"] == "1"
    assert bff.ask("GET", f"{PATH}?limit=1", TOKENS["read"]).status == 200
    time.sleep(1)
    assert bff.ask("GET", f"{PATH}?limit=1", TOKENS["busy"]).status == 200


def test_tokens_are_changed_without_a_restart_and_a_broken_file_changes_none(bff: Bff) -> None:
    def status(token: str) -> int:
        return bff.ask("GET", f"{PATH}?limit=1", token).status

    assert (status("token-of-old"), status("token-of-new")) == (200, 401)
    bff.put("tokens", "old read token-of-new\n")
    until(lambda: bff.started.says("line 1: no SHA-256"))
    assert status("token-of-old") == 200
    bff.put("tokens", lines(old="token-of-new"))
    until(lambda: status("token-of-new") == 200)
    assert status("token-of-old") == 401


def test_a_renewed_certificate_is_shown_without_a_restart_and_an_expired_one_is_not(bff: Bff) -> None:
    def shown() -> bytes:
        context = ssl.create_default_context(cafile=str(bff.authority.certificate))
        with (
            socket.create_connection(("127.0.0.1", PORT), 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
        ):
            return connection.getpeercert(binary_form=True) or b""

    def renew(name: str, days: int) -> None:
        new = certificate(bff.authority, bff.folder, name, days)
        shutil.copy(new.key, bff.folder / "server.key")
        shutil.copy(new.certificate, bff.folder / "server.pem")

    before = shown()
    renew("expired", -1)
    until(lambda: bff.started.says("certificate has expired"))
    assert shown() == before
    renew("renewed", 2)
    until(lambda: shown() != before)


def test_a_client_that_trusts_another_authority_does_not_talk_to_it(bff: Bff) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        bff.ask("GET", trusting=bff.another)


def test_plain_text_to_the_tls_port_is_closed_at_once(bff: Bff) -> None:
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", PORT), 5) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        connection.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert b"HTTP" not in connection.recv(4096)
    assert time.monotonic() - began < 2


def management(path: str, port: int = MANAGEMENT) -> Answer:
    """What the management port answers."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())


def test_metrics_readiness_and_documents_are_on_the_management_port(bff: Bff) -> None:
    assert b"payments_http_request_seconds" in management("/metrics").body
    assert management("/health/ready").json["parts"]["kafka"] == "ok"
    assert management("/docs").status == 200
    said = management("/openapi.json").json
    assert said["paths"][PATH]["post"]["security"][0] == {"bearer": ["write"]}
    assert management(PATH).status == 404
    assert bff.ask("GET", "/metrics", TOKENS["read"]).status == 404
    assert bff.ask("GET", "/openapi.json").status == 404
    assert bff.ask("GET", "/health/ready").json == {"ready": True}

    def seen_by_the_other() -> dict[str, str]:
        parts = call("GET", "/api/v1/system").json["parts"]
        return {part["name"]: part["state"] for part in parts if part["name"].startswith("bff")}

    until(lambda: seen_by_the_other() == {"bff": "up", "bff-2": "up"})


def test_its_log_has_no_trace_no_token_and_no_customers_data(bff: Bff) -> None:
    """The last one here: also of all that came before."""
    posted = bff.ask("POST", token=TOKENS["write"], body=body())
    until(lambda: bff.started.says(f"{posted.json['transaction_id']} arrived"))
    bff.ask("GET", f"{PATH}?customer_id={CUSTOMER}", "token-of-nobody")
    said = bff.started.log
    for never in ("token-of", CUSTOMER, DESCRIPTION):
        assert never not in said
    # A driver may trace what its own server does.
    assert re.findall(r'File ".*(?:sslproto|aiohttp|app/web).*', said) == []
    for token in TOKENS.values():
        assert hashlib.sha256(token.encode()).hexdigest() not in said


# The transactions worker


def test_a_transactions_workers_port_has_tls_and_asks_for_a_token_and_its_management_port_does_not(
    tmp_path: Path,
) -> None:
    ours = authority(tmp_path)
    pair = certificate(ours, tmp_path, "server")
    (tmp_path / "tokens").write_text(lines())
    settings = {
        "WEB_PORT": str(THEIRS),
        "LISTEN_HOST": "0.0.0.0",
        "TOKENS_FILE": str(tmp_path / "tokens"),
        "TLS_CERTIFICATE": str(pair.certificate),
        "TLS_KEY": str(pair.key),
    }
    with worker("app.transactions", **settings) as started:
        one = Bff(started, tmp_path, ours, ours, THEIRS)

        def answers() -> bool:
            assert started.process.poll() is None, started.log
            with contextlib.suppress(OSError):
                return one.ask("GET", "/health/live").status == 200
            return False

        until(answers, 60)
        assert one.ask("GET", "/metrics").status == 401
        assert one.ask("GET", "/metrics", TOKENS["write"]).status == 403
        assert b"payments_build_info" in one.ask("GET", "/metrics", TOKENS["read"]).body
        assert "parts" not in one.ask("GET", "/health/ready").json
        with pytest.raises(ConnectionResetError):
            call("GET", "/health/live", url=f"http://127.0.0.1:{THEIRS}")
    with worker("app.transactions", **settings, MANAGEMENT_PORT=str(THEIR_MANAGEMENT)) as started:
        one = Bff(started, tmp_path, ours, ours, THEIRS)
        until(answers, 60)
        assert one.ask("GET", "/metrics", TOKENS["read"]).status == 404
        assert b"payments_build_info" in management("/metrics", THEIR_MANAGEMENT).body
        assert management("/health/live", THEIR_MANAGEMENT).status == 200


# What does not start


def test_a_bff_that_cannot_be_safe_ends_with_one_line_that_says_what_to_set(tmp_path: Path) -> None:
    expired = certificate(authority(tmp_path), tmp_path, days=-1)
    pair = {"TLS_CERTIFICATE": str(expired.certificate), "TLS_KEY": str(expired.key)}
    with (
        worker(LISTEN_HOST="0.0.0.0") as open_to_all,
        worker(**pair) as with_expired,
        worker("app.transactions", LISTEN_HOST="0.0.0.0") as a_transactions_worker,
    ):
        for started in (open_to_all, with_expired, a_transactions_worker):
            assert started.process.wait(60) == 1
    for started, words in (
        (open_to_all, "TOKENS_FILE"),
        (with_expired, "certificate has expired"),
        (a_transactions_worker, "TOKENS_FILE"),
    ):
        (said,) = [one for one in started.said if "Cannot start" in one]
        assert words in said
        assert "Traceback" not in started.log
        assert "ERROR" not in started.log
