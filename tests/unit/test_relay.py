"""The relay between a part and its clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from exercises.relay import Relay

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def relay() -> AsyncIterator[Relay]:
    """In front of a server that repeats what it is sent."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    found = Relay(server.sockets[0].getsockname()[:2])
    await found.open()
    yield found
    found.close()
    server.close()


async def connected(to: Relay) -> Streams:
    return await asyncio.open_connection("127.0.0.1", to.port)


async def sent(streams: Streams, data: bytes, within: float = 1.0) -> bytes:
    reader, writer = streams
    writer.write(data)
    return await asyncio.wait_for(reader.read(100), within)


def test_answers_are_as_late_as_was_said_and_not_later_the_more_there_are() -> None:
    async def run() -> None:
        async with relay() as there:
            streams = await connected(there)
            assert await sent(streams, b"at once") == b"at once"
            there.delay = 0.2
            began = time.monotonic()
            for _ in range(5):
                streams[1].write(b"x")
                await asyncio.sleep(0.02)
            assert await streams[0].readexactly(5) == b"xxxxx"
            assert 0.2 < time.monotonic() - began < 0.6  # five in a row would be a second
            streams[1].close()

    asyncio.run(run())


def test_a_silent_relay_keeps_connections_and_drops_bytes_and_one_that_lost_some_ends_with_the_silence() -> (
    None
):
    async def run() -> None:
        async with relay() as there:
            lossy, whole = await connected(there), await connected(there)
            assert await sent(lossy, b"1") == await sent(whole, b"1") == b"1"
            there.silent = True
            with pytest.raises(TimeoutError):
                await sent(lossy, b"2", within=0.1)
            there.silent = False
            assert await sent(lossy, b"3") == b""  # not b"3": what follows would be read as what is missing
            assert await sent(whole, b"4") == b"4"
            assert await sent(await connected(there), b"5") == b"5"

    asyncio.run(run())
