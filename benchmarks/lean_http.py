"""A client of HTTP that costs little, for measuring: what it takes itself is added to what it measures.

Keep-alive connections, one call at a time on each, whole answers with a Content-Length (the bff gives no others).
aiohttp's client takes about five times the CPU a call, and the machine is the same.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

ENDS = b"\r\n\r\n"


class Answer(NamedTuple):
    """Status and body."""

    status: int
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection; `call` may not be called again before it has returned."""

    def __init__(self) -> None:
        self._received = b""
        self._answer: asyncio.Future[Answer] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    async def call(self, request: bytes) -> Answer:
        if self.transport.is_closing():
            raise ConnectionError("the server closed the connection")
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head = self._received.find(ENDS)
        if head < 0 or self._answer is None:
            return
        length = _length(self._received[:head])
        body = self._received[head + len(ENDS) :]
        if len(body) >= length and not self._answer.done():
            self._answer.set_result(Answer(int(self._received[9:12]), body))
            self._received = b""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionError("the server closed the connection"))


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    raise ValueError(f"an answer without Content-Length: {head!r}")


class Client:
    """Calls by at most so many connections; a call that finds none free waits, in its turn."""

    def __init__(self, url: str, connections: list[_Connection]):
        """See `client`."""
        self._host = urlsplit(url).netloc
        self._free = deque(connections)
        self._waiting: deque[asyncio.Future[_Connection]] = deque()

    async def get(self, path: str) -> Answer:
        """GET."""
        return await self._call(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())

    async def post(self, path: str, body: bytes) -> Answer:
        """POST of JSON."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
        return await self._call(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    async def _call(self, request: bytes) -> Answer:
        if self._free:
            connection = self._free.popleft()
        else:
            turn: asyncio.Future[_Connection] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            connection = await turn
        try:
            return await connection.call(request)
        finally:
            if self._waiting:
                self._waiting.popleft().set_result(connection)
            else:
                self._free.append(connection)


@asynccontextmanager
async def client(url: str, connections: int) -> AsyncIterator[Client]:
    """Connected, for a while."""
    split, loop = urlsplit(url), asyncio.get_running_loop()
    host, port = split.hostname or "127.0.0.1", split.port or 80
    made = []
    try:
        for _ in range(connections):
            _, connection = await loop.create_connection(_Connection, host, port)
            made.append(connection)
        yield Client(url, made)
    finally:
        for connection in made:
            connection.transport.close()
