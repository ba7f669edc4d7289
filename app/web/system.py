"""GET /api/v1/system: how every part is right now, and the last fifteen minutes."""

from __future__ import annotations

import faust
from aiohttp import web
from faust.web import View

from app.system.observer import Observer
from app.web.answers import invalid
from app.web.openapi import operation
from app.web.paging import check_parameters
from app.web.system_operations import SERIES, STATE
from app.web.validation import InvalidRequest

PATH = "/api/v1/system"


def register(app: faust.App, observer: Observer) -> None:
    """Put the views on the app."""

    @app.page(PATH, name="system")
    class System(View):
        """The parts, what happens between them, the lag."""

        @operation(STATE)
        async def get(self, request: web.Request) -> web.Response:
            """200, also while every part is down; 400."""
            return _refused(request) or _json(await observer.document())

    @app.page(f"{PATH}/series", name="system_series")
    class SystemSeries(View):
        """The charts."""

        @operation(SERIES)
        async def get(self, request: web.Request) -> web.Response:
            """200; 400."""
            return _refused(request) or _json(await observer.series())

    del System, SystemSeries  # the app holds them


def _refused(request: web.Request) -> web.Response | None:
    try:
        check_parameters(request.query)
    except InvalidRequest as exc:
        return invalid(exc)
    return None


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})
