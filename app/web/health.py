"""Liveness touches nothing but the process; readiness asks every neighbour."""

from __future__ import annotations

from collections.abc import Callable

import faust
from aiohttp import web
from faust.web import View

from app.resources import Resources


def register(app: faust.App, resources: Resources, is_consuming: Callable[[], bool]) -> None:
    """Put /health/live and /health/ready on the app."""

    @app.page("/health/live", name="live")
    class Live(View):  # type: ignore[misc]
        """Alive as long as it answers."""

        async def get(self, request: web.Request) -> web.Response:
            """200."""
            return web.json_response({"alive": True})

    @app.page("/health/ready", name="ready")
    class Ready(View):  # type: ignore[misc]
        """Ready when every neighbour answers and the group has given us our partitions."""

        async def get(self, request: web.Request) -> web.Response:
            """200 or 503, with a word about each part."""
            parts = await resources.parts()
            parts["group"] = "ok" if is_consuming() else "waiting for partitions"
            ready = all(word == "ok" for word in parts.values())
            return web.json_response({"ready": ready, "parts": parts}, status=200 if ready else 503)

    del Live, Ready  # the app holds them
