"""Liveness touches nothing but the process; readiness asks the neighbours whether we can do our work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import faust
from aiohttp import web
from faust.web import View

from app.models.health import OK, Health
from app.resources import Resources
from app.web.openapi import Answer, Operation, operation
from app.web.problems import unavailable
from app.web.response_models import Alive, Ready

#: What a role cannot do without. The bff shows what either store has; without antifraud the worker decides as
#: ANTIFRAUD_UNAVAILABLE_POLICY says.
NEEDS = {"bff": ("kafka", "group"), "transactions": ("kafka", "group", "cassandra")}
NEEDS["main"] = NEEDS["transactions"]

HIDDEN = "the log says why, and so does this call with a token that may read"

LIVE = Operation(
    "getLive",
    "Whether the process responds and makes progress",
    {200: Answer("It does.", Alive)},
    ("not-alive",),
    tag="operation",
)
READY = Operation(
    "getReady",
    "Whether the process can do its work",
    {200: Answer("It can.", Ready)},
    ("not-ready",),
    tag="operation",
)


def is_ready(role: str, parts: Mapping[str, Health]) -> bool:
    """Whether a role can work with its dependencies as they are, degraded ones included."""
    a_store = any(parts[name].usable for name in ("redis", "cassandra") if name in parts)
    return a_store and all(parts[name].usable for name in NEEDS[role])


def register(
    app: faust.App,
    resources: Resources,
    is_consuming: Callable[[], bool],
    stuck: Callable[[], str | None],
    shows_details: Callable[[web.Request], bool],
) -> None:
    """Put /health/live and /health/ready on the app; who may not know how the parts are gets the status alone."""

    role = app.conf.id

    @app.page("/health/live", name="live")
    class Live(View):
        """Alive as long as it answers and its work moves."""

        @operation(LIVE)
        async def get(self, request: web.Request) -> web.Response:
            """200, or 503 with the reason."""
            reason = stuck()
            if reason and not shows_details(request):
                return unavailable("Not alive", HIDDEN, members={"alive": False})
            if reason:
                return unavailable("Not alive", reason, members={"alive": False, "reason": reason})
            return web.json_response({"alive": True})

    @app.page("/health/ready", name="ready")
    class Ready(View):
        """Ready when the neighbours that the role needs answer and the group has given us partitions."""

        @operation(READY)
        async def get(self, request: web.Request) -> web.Response:
            """200 or 503, with a word about each part."""
            parts = await resources.parts()
            parts["group"] = OK if is_consuming() else Health(False, "waiting for partitions")
            ready = is_ready(role, parts)
            if not shows_details(request):
                if not ready:
                    return unavailable("Not ready", HIDDEN, members={"ready": False})
                return web.json_response({"ready": True})
            words = {name: health.word for name, health in parts.items()}
            if not ready:
                wrong = ", ".join(f"{name}: {word}" for name, word in words.items() if not parts[name].usable)
                return unavailable("Not ready", wrong, members={"ready": False, "parts": words})
            return web.json_response({"ready": True, "parts": words})

    del Live, Ready  # the app holds them
