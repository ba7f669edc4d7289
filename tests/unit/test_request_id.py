"""Every answer has X-Request-Id, and the log has it with the reason that the client does not see."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, NamedTuple

import pytest
from aiohttp import web

from app.errors import LogUnavailable, StoreUnavailable
from app.web import problems
from app.web.answers import no_store
from app.web.idempotency import _nobody_knows
from app.web.problems import as_problems, problem, unavailable
from app.web.server import Protocol, Runner
from app.web.transactions import _not_acknowledged

ADDRESS = "10.1.2.3:9042"


class Answer(NamedTuple):
    """What came back over the connection."""

    status: int
    id: str
    type: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def makefile(self, *_: Any) -> BytesIO:
        return BytesIO(self.written)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def answers(*requests: bytes, handler: Handler | None = None) -> list[Answer]:
    """What our server answers to each of these on one connection; /there is a path with this handler."""

    async def fine(_: web.Request) -> web.Response:
        return web.Response(text="fine")

    async def situation() -> list[Answer]:
        app = web.Application(middlewares=[as_problems])
        app.router.add_get("/there", handler or fine)
        runner = Runner(app, 10, access_log=None)
        await runner.setup()
        assert runner.server is not None
        protocol: Any = runner.server()
        assert isinstance(protocol, Protocol)
        found = []
        wire = Wire()
        protocol.connection_made(wire)
        for request in requests:
            wire.written = b""
            protocol.data_received(request)
            for _ in range(50):
                await asyncio.sleep(0)
            response = HTTPResponse(wire)  # type: ignore[arg-type]  # it needs makefile alone
            response.begin()
            ids, kind = response.headers.get_all("X-Request-Id") or [], response.headers["Content-Type"]
            assert len(ids) == 1, (request, wire.written)
            found.append(Answer(response.status, ids[0], kind, response.read()))
        protocol.connection_lost(None)
        await runner.cleanup()
        return found

    return asyncio.run(situation())


def get(path: str = "/there", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(), 200),
        (get("/nowhere"), 404),
        (b"PUT /there HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (get("/there", "Expect: nonsense"), 417),
        (b"\0 this is nothing\r\n\r\n", 400),
        (get("/there", "X: " + "a" * 9000), 400),
    ],
    ids=["200", "404", "405", "417", "no HTTP", "headers too large"],
)
def test_every_answer_has_one_id_and_every_error_repeats_it_in_its_body(request_: bytes, status: int) -> None:
    (answer,) = answers(request_)
    assert answer.status == status
    assert len(answer.id) == 16
    if status >= 400:
        assert answer.type == "application/problem+json"
        assert answer.json["request_id"] == answer.id


@pytest.mark.parametrize(
    "sent", ["a", "7f3c-ab.cd_ef~1", "Root=1-67891233-abcdef012345678912345678", "x" * 128]
)
def test_a_clients_own_id_is_kept(sent: str) -> None:
    for answer in answers(get("/there", f"X-Request-Id: {sent}"), get("/no", f"x-request-id: {sent}")):
        assert answer.id == sent


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "x" * 129,
        "two words",
        'a"b',
        "a\\b",
        "<b>",
        "${jndi:x}",
        "%0d%0a",
        "\x7f",
        "\x1b[31m",
        "\xe9",
        "a\tb",
    ],
)
def test_an_unsafe_id_is_replaced(sent: str) -> None:
    (answer,) = answers(get("/there", f"X-Request-Id: {sent}"))
    assert answer.id != sent
    assert len(answer.id) == 16


def test_two_ids_are_replaced() -> None:
    (answer,) = answers(get("/there", "X-Request-Id: a", "X-Request-Id: b"))
    assert answer.id not in ("a", "b", "a, b")


def test_each_request_of_a_connection_has_its_own_id() -> None:
    first, second, third = answers(get("/no", "X-Request-Id: mine"), get("/no"), b"\0\r\n\r\n")
    assert first.json["request_id"] == "mine"
    assert len({first.id, second.id, third.id}) == 3
    assert [second.json["request_id"], third.json["request_id"]] == [second.id, third.id]


def test_a_bug_is_in_the_log_under_its_requests_id(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_: web.Request) -> web.Response:
        raise RuntimeError(f"row at {ADDRESS}")

    (answer,) = answers(get("/there", "X-Request-Id: mine"), handler=broken)
    assert (answer.status, answer.json["request_id"]) == (500, "mine")
    assert ADDRESS.encode() not in answer.body
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "mine" in record.getMessage()
    assert record.exc_info


def store_down() -> web.Response:
    return no_store(StoreUnavailable(f"Cassandra: NoHostAvailable: {ADDRESS}"))


def kafka_down() -> web.Response:
    inside = LogUnavailable(f"Kafka did not take a batch: {ADDRESS}")
    inside.__cause__ = OSError(ADDRESS)
    return _not_acknowledged(inside)


def key_unknown() -> web.Response:
    return _nobody_knows(StoreUnavailable(f"Cassandra: NoHostAvailable: {ADDRESS}")).answer


@pytest.mark.parametrize("failed", [store_down, kafka_down, key_unknown])
def test_a_503_is_in_the_log_with_its_requests_id_and_the_drivers_text(
    failed: Callable[[], web.Response], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "_failures", problems.Failures())

    async def handler(_: web.Request) -> web.Response:
        return failed()

    (answer,) = answers(get("/there", "X-Request-Id: mine"), handler=handler)
    assert (answer.status, answer.json["request_id"]) == (503, "mine")
    assert ADDRESS.encode() not in answer.body
    (line,) = [record.getMessage() for record in caplog.records if record.name == "app.web.problems"]
    assert "mine" in line
    assert ADDRESS in line


def test_an_outage_under_load_does_not_fill_the_log(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "_failures", problems.Failures())
    monkeypatch.setattr("app.web.problems.time.monotonic", lambda: 100.0)
    for _ in range(1000):
        unavailable("Read model unavailable", "no store answers", StoreUnavailable(ADDRESS))
    assert len(caplog.records) == problems.LINES_A_SECOND
    monkeypatch.setattr("app.web.problems.time.monotonic", lambda: 101.0)
    unavailable("Read model unavailable", "no store answers", StoreUnavailable(ADDRESS))
    assert "990 more requests were answered 503" in caplog.messages


def test_a_503_says_when_to_come_again() -> None:
    assert unavailable("a", "b").headers["Retry-After"] == "1"
    assert "request_id" not in json.loads(bytes(problem(400, "a", "b").body or b""))  # type: ignore[arg-type]
