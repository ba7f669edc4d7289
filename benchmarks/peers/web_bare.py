"""The bff's limit: aiohttp as the bff starts it, answering constants, with nothing behind it.

`python -m benchmarks.peers.web_bare PORT BFF PATH…`: a POST is answered as the bff answers one, each PATH with the body
that the bff at the address BFF gave for it when this was started.
"""

import asyncio
import sys
import urllib.request
from collections.abc import Awaitable, Callable

from aiohttp import web

PATH = "/api/v1/transactions"
CREATED = b'{"transaction_id": "01890000-0000-7000-8000-000000000000"}'


async def post(request: web.Request) -> web.Response:
    """201, whatever the body is: it is not read."""
    return web.Response(status=201, body=CREATED, content_type="application/json")


def getting(body: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler of GET that answers this."""

    async def get(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    return get


def application(bff: str, paths: list[str]) -> web.Application:
    """POST and the paths."""
    app = web.Application()
    app.router.add_post(PATH, post)
    for path in paths:
        with urllib.request.urlopen(bff + path, timeout=5) as response:  # noqa: S310  # the bff's address
            app.router.add_get(path, getting(response.read()))
    return app


async def serve(port: int, bff: str, paths: list[str]) -> None:
    """Until the process ends. No access log, no decompression: as in app/web/server.py."""
    runner = web.AppRunner(
        application(bff, paths), access_log=None, keepalive_timeout=30, auto_decompress=False
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
