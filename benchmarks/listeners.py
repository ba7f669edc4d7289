"""Clients of the events: most of them only take the bytes, one reads what they say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from generator.client import PATH
from reconciliation import readers

REQUEST = f"GET {PATH}/events HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
#: What each gets once it has joined: from then on nothing is missed.
JOINED = b"\nid: "


class Listener(asyncio.Protocol):
    """Takes the bytes; with `reads`, when each status came and when it had been published."""

    def __init__(self, *, reads: bool):
        self.joined = asyncio.Event()
        self.took: list[float] = []  # seconds from a status's publication until it was here
        self.published: dict[str, float] = {}  # seconds since 1970, by transaction_id
        self._reads = reads
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask."""
        assert isinstance(transport, asyncio.Transport)
        transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        """More came."""
        if not self.joined.is_set() and JOINED in data:
            self.joined.set()
        if self._reads:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and b'"published_ms"' in line:
                    status = json.loads(line[6:])
                    published = status["published_ms"] / 1000
                    self.took.append(time.time() - published)
                    self.published[status["transaction_id"]] = published


@asynccontextmanager
async def listening(count: int) -> AsyncIterator[Listener]:
    """That many; gives the one that reads."""
    target = urlsplit(readers.bff_url())
    host, port = target.hostname or "", target.port or 80
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(partial(Listener, reads=n == 0), host, port) for n in range(count)]
    try:
        async with asyncio.timeout(30):
            for _, listener in made:
                await listener.joined.wait()
        yield made[0][1]
    finally:
        for transport, _ in made:
            transport.abort()
