"""The lab as one web application: its own calls, the page, and the bff behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from lab import guard, page
from lab.answers import harden, refusals
from lab.api import Api
from lab.proxy import Proxy

HOST = "127.0.0.1"  # never anything else: the buttons kill processes


def application(api: Api, proxy: Proxy, token: str, port: int) -> web.Application:
    """What is behind /lab/api needs the token, everything its own Host and Origin."""
    behind_token = web.Application(middlewares=[guard.with_token(token)])
    behind_token.add_routes(api.routes())
    app = web.Application(middlewares=[refusals, guard.same_site(guard.authorities(port))])
    app.add_subapp("/lab/api/", behind_token)
    app.add_routes(page.routes())
    app.router.add_route("*", "/{path:.*}", proxy.hand_on)
    app.on_response_prepare.append(harden)
    return app


@asynccontextmanager
async def serving(api: Api, proxy: Proxy, token: str, port: int) -> AsyncIterator[None]:
    """Meanwhile it answers on loopback; a call whose reader has gone is cancelled."""
    await proxy.open()
    runner = web.AppRunner(
        application(api, proxy, token, port), access_log=None, handler_cancellation=True, shutdown_timeout=1
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
        yield
    finally:
        await asyncio.gather(runner.cleanup(), proxy.close())
