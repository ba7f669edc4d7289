"""A server of a few paths on loopback, for clients of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web


@asynccontextmanager
async def serving(handlers: Mapping[str, Any]) -> AsyncIterator[int]:
    """The port that answers GETs of these paths; what is open at the end is cut."""
    async with served([web.get(path, handler) for path, handler in handlers.items()]) as port:
        yield port


@asynccontextmanager
async def served(routes: Iterable[web.RouteDef]) -> AsyncIterator[int]:
    """The port that answers these; what is open at the end is cut."""
    app = web.Application()
    app.add_routes(routes)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
