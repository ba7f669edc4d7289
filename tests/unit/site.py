"""The bff's whole web application with stores and log of our own making; requests go in as bytes, without a socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPMessage, HTTPResponse
from io import BytesIO
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from app import bootstrap
from app.errors import StoreUnavailable
from app.models.label import StoredLabel, newest_labels
from app.read_model.read_model import Listing, ReadModel
from app.settings import Settings
from app.web.transactions import PATH

ID = "16f051bb-14e0-4fda-95e5-507d01ea37dc"
#: What the stores have unless a test says otherwise.
STORED = {ID: {"transaction_id": ID, "description": "<script>alert(1)</script>"}}
BODY = {
    "value_in_cents": 1,
    "description": "d",
    "customer_id": "c",
    "merchant_id": "m",
    "transaction_timestamp": 0,
    "latitude": 1,
    "longitude": 1,
}


class Answer(NamedTuple):
    """What came back over the connection."""

    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Reads(ReadModel):
    """The read model with these transactions by id; none of them listed."""

    stored: Mapping[str, Any] = STORED

    async def find(self, transaction_id: str) -> str | None:
        if transaction_id == "unreadable":
            raise StoreUnavailable("Cassandra: NoHostAvailable: {'10.1.2.3:9042': ConnectionRefusedError}")
        found = self.stored.get(transaction_id)
        return found and json.dumps(found)

    async def newest(self, limit: int, before: str | None) -> Listing:
        return Listing([], None, "redis", may_lack=False)


class Labels:
    """A table of labels: empty, and it keeps what is stored."""

    def __init__(self) -> None:
        self.held: dict[str, StoredLabel] = {}

    async def find(self, transaction_id: str, timeout: float) -> StoredLabel | None:
        return self.held.get(transaction_id)

    async def store(self, labels: Sequence[StoredLabel]) -> None:
        self.held = newest_labels([*self.held.values(), *labels])


class Wire(asyncio.Transport):
    """A connection that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return False

    def close(self) -> None:
        """Nobody is at the other side."""

    def makefile(self, *_: Any) -> BytesIO:
        return BytesIO(self.written)


def request(method: str, path: str, headers: Sequence[str] = (), body: bytes = b"") -> bytes:
    """One request as it goes over the wire."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *length, *headers, "", ""]).encode() + body


def calls(
    *requests: bytes,
    settings: Settings | None = None,
    reads: type[ReadModel] = Reads,
    also: Callable[[Any], object] | None = None,
) -> list[Answer]:
    """What the bff answers to each of these on one connection. Kafka accepts everything; `also` adds views."""

    async def situation() -> list[Answer]:
        app = _app(settings or Settings(), reads)
        if also:
            also(app)
        runner = app.web._runner
        await runner.setup()
        protocol: Any = runner.server()
        wire = Wire()
        protocol.connection_made(wire)
        found = []
        for sent in requests:
            wire.written = b""
            protocol.data_received(sent)
            for _ in range(200):
                await asyncio.sleep(0)
            response = HTTPResponse(wire, method=sent.split()[0].decode())  # type: ignore[arg-type]
            response.begin()
            found.append(Answer(response.status, response.headers, response.read()))
        protocol.connection_lost(None)
        await runner.cleanup()
        return found

    return asyncio.run(situation())


def call(
    method: str, path: str = PATH, *headers: str, body: bytes = b"", settings: Settings | None = None
) -> Answer:
    """One of them."""
    return calls(request(method, path, headers, body), settings=settings)[0]


def _app(settings: Settings, reads: type[ReadModel]) -> Any:
    with patch.object(bootstrap, "settings", lambda: settings):
        app: Any = bootstrap.create_app("bff", read_model=reads)
        app.is_alone = True  # no other bff is waited for
        assert app.web.views  # it is made when it is first asked for

    async def publish(*_: Any) -> None:
        """Into the log."""

    app.resources.producer.publish = publish
    app.resources.created = app.resources.label = SimpleNamespace(encode=lambda _: b"")
    labels = Labels()
    app.resources.labels.find, app.resources.labels.store = labels.find, labels.store
    app.resources.is_open = True
    return app
