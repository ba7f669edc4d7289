"""Clients that do not ask, or do not take their answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from unittest.mock import patch

import pytest
from aiohttp import web

from app.live.event_stream import EventStream
from app.settings import Settings
from app.web import refusal, server
from app.web.server import Protocol, Server
from tests.unit import site
from tests.unit.virtual_time import run


class Full(asyncio.Transport):
    """A connection whose other side reads nothing."""

    aborted = False

    def abort(self) -> None:
        self.aborted = True


class Impatient(Protocol):
    __slots__ = ()
    answer_timeout = 0.01


async def unserved(_: Any) -> web.StreamResponse:
    raise AssertionError("nothing is asked here")


def test_a_client_that_does_not_take_its_answer_is_cut_off() -> None:
    async def situation() -> None:
        protocol, transport = Impatient(web.Server(unserved), loop=asyncio.get_running_loop()), Full()
        protocol.transport = transport
        protocol.pause_writing()
        with pytest.raises(ConnectionResetError):
            await protocol._drain_helper()
        assert transport.aborted

    asyncio.run(situation())


def test_one_that_takes_it_late_is_not_cut_off() -> None:
    async def situation() -> None:
        protocol, transport = Protocol(web.Server(unserved), loop=asyncio.get_running_loop()), Full()
        protocol.transport = transport
        protocol.pause_writing()
        asyncio.get_running_loop().call_later(0.02, protocol.resume_writing)
        await protocol._drain_helper()
        assert not transport.aborted

    asyncio.run(situation())


def test_a_connection_in_use_may_be_idle_for_longer_than_a_balancer_keeps_it() -> None:
    assert Settings().idle_timeout > 60


class Scripted(asyncio.Transport):
    """A connection that somebody may end."""

    closed = False

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Nothing comes."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Nobody reads it here."""

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Nobody reads it here."""


async def connected(idle: float) -> tuple[Protocol, Scripted]:
    async def answer(_: Any) -> web.StreamResponse:
        return web.Response()

    connections = Server(web.Server(answer), 10, keepalive_timeout=idle)
    protocol, transport = connections(), Scripted()
    assert isinstance(protocol, Protocol)
    protocol.connection_made(transport)
    return protocol, transport


async def many(bound: int, number: int) -> list[bytes]:
    """All that each of so many clients gets that connect and ask at once, over real sockets."""

    refused_all, left = asyncio.Event(), [number - bound]

    async def answer(_: Any) -> web.StreamResponse:
        await refused_all.wait()
        return web.Response(text="served")

    async def client(port: int) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            got = await reader.read()
            writer.close()
        except ConnectionError:
            got = b""
        left[0] -= 1
        if not left[0]:
            refused_all.set()
        return got

    loop = asyncio.get_running_loop()
    serving = await loop.create_server(Server(web.Server(answer), bound), "127.0.0.1", 0)
    async with serving:
        port = serving.sockets[0].getsockname()[1]
        return list(await asyncio.gather(*(client(port) for _ in range(number))))


def test_who_connects_beyond_the_bound_gets_an_answer_and_the_end_of_the_connection() -> None:
    got = asyncio.run(many(bound=10, number=50))
    assert sum(one.endswith(b"served") for one in got) == 10
    refused = [one for one in got if not one.endswith(b"served")]
    for one in refused:
        head, _, body = one.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nConnection: close\r\n" in head
        assert b"\r\nRetry-After: 5\r\n" in head
        problem = json.loads(body)
        assert f"X-Request-Id: {problem['request_id']}".encode() in head
        assert (problem["status"], problem["type"]) == (503, "/problems/too-many-connections")


def test_more_than_some_are_not_refused_with_an_answer_at_once() -> None:
    got = asyncio.run(many(bound=10, number=refusal.MOST + 60))
    assert sum(one.endswith(b"served") for one in got) == 10
    assert sum(b" 503 " in one for one in got) >= refusal.MOST


def test_a_listener_beyond_the_bound_is_refused_and_holds_no_connection() -> None:
    with patch.object(EventStream, "is_full", True):
        answer = site.call("GET", "/api/v1/transactions/events")
    assert (answer.status, answer.headers["Connection"], answer.headers["Retry-After"]) == (503, "close", "5")


def test_a_client_that_does_not_take_its_refusal_is_cut_off() -> None:
    async def situation() -> None:
        transport = Scripted()
        refusals = refusal.Refusals()
        assert refusals.take(transport)
        await asyncio.sleep(refusal.LINGER + 0.1)
        assert transport.closed

    run(situation())


def test_an_unused_connection_is_closed_sooner_than_one_in_use() -> None:
    async def situation() -> None:
        _, transport = await connected(idle=75)
        await asyncio.sleep(server.FIRST_REQUEST - 1)
        assert not transport.closed
        await asyncio.sleep(2)
        assert transport.closed

    run(situation())


def test_a_used_connection_is_kept_as_long_as_the_setting_says() -> None:
    async def situation() -> None:
        protocol, transport = await connected(idle=75)
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(74)
        assert not transport.closed
        await asyncio.sleep(2)
        assert transport.closed

    run(situation())
