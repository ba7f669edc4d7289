"""POST /api/v1/session: a page trades a token for a cookie, which EventSource sends and no script can read."""

from __future__ import annotations

import faust
from aiohttp import web
from faust.web import View

from app.web.access import Access
from app.web.openapi import Answer, Operation, operation
from app.web.tokens import ANY

PATH = "/api/v1/session"
BEGIN = Operation(
    "beginSession",
    "Trade a token for a cookie",
    {204: Answer("The browser has it now, for twelve hours.", headers={"Set-Cookie": "With the token."})},
    tag="system",
    description="For pages of this server. The cookie is HttpOnly and SameSite=Strict, and over TLS Secure.",
    scope=ANY,
)


def register(app: faust.App, access: Access) -> None:
    """Put the view on the app."""

    @app.page(PATH, name="session")
    class Session(View):
        """Of a page."""

        @operation(BEGIN)
        async def post(self, request: web.Request) -> web.Response:
            """204; 401, 429."""
            return access.begin_session(request)

    del Session  # the app holds it
