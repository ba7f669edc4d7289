"""Liveness touches nothing but the process; readiness asks the neighbours whether we can do our work."""

from __future__ import annotations

from collections.abc import Callable

import faust
from aiohttp import web
from faust.web import View

from app.resources import Resources

#: What a role cannot do without. The bff shows what either store has; without antifraud the worker decides as
#: WHEN_ANTIFRAUD_IS_DOWN says.
NEEDS = {"bff": ("kafka", "group"), "transactions": ("kafka", "group", "cassandra")}
NEEDS["main"] = NEEDS["transactions"]


def is_ready(role: str, parts: dict[str, str]) -> bool:
    """Whether a role can work, given a word ('ok' or what is wrong) about each part."""
    a_store = "ok" in (parts.get("redis"), parts["cassandra"])
    return a_store and all(parts[name] == "ok" for name in NEEDS[role])


def register(
    app: faust.App,
    resources: Resources,
    is_consuming: Callable[[], bool],
    stuck: Callable[[], str | None],
) -> None:
    """Put /health/live and /health/ready on the app."""

    role = app.conf.id

    @app.page("/health/live", name="live")
    class Live(View):
        """Alive as long as it answers and its work moves."""

        async def get(self, request: web.Request) -> web.Response:
            """200, or 503 with the reason."""
            reason = stuck()
            if reason:
                return web.json_response({"alive": False, "reason": reason}, status=503)
            return web.json_response({"alive": True})

    @app.page("/health/ready", name="ready")
    class Ready(View):
        """Ready when the neighbours that the role needs answer and the group has given us partitions."""

        async def get(self, request: web.Request) -> web.Response:
            """200 or 503, with a word about each part."""
            parts = await resources.parts()
            parts["group"] = "ok" if is_consuming() else "waiting for partitions"
            ready = is_ready(role, parts)
            return web.json_response({"ready": ready, "parts": parts}, status=200 if ready else 503)

    del Live, Ready  # the app holds them
