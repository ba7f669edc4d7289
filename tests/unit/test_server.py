"""Clients that do not ask, or do not take their answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from app.settings import Settings
from app.web import server
from app.web.server import Protocol, Server
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
