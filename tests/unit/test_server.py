"""A client that does not take its answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from app.web.server import Protocol


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
    async def scene() -> None:
        protocol, transport = Impatient(web.Server(unserved), loop=asyncio.get_running_loop()), Full()
        protocol.transport = transport
        protocol.pause_writing()
        with pytest.raises(ConnectionResetError):
            await protocol._drain_helper()
        assert transport.aborted

    asyncio.run(scene())


def test_one_that_takes_it_late_is_not() -> None:
    async def scene() -> None:
        protocol, transport = Protocol(web.Server(unserved), loop=asyncio.get_running_loop()), Full()
        protocol.transport = transport
        protocol.pause_writing()
        asyncio.get_running_loop().call_later(0.02, protocol.resume_writing)
        await protocol._drain_helper()
        assert not transport.aborted

    asyncio.run(scene())
