"""GET /openapi.json, /asyncapi.json: what can be called and read; GET /docs: the first as a page that tries calls."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import faust
from aiohttp import web
from faust.web import View

from app.settings import Settings
from app.web import asyncapi, html, openapi
from app.web.conditional import conditional
from app.web.openapi import NOT_CHANGED, TAG, Answer, Operation, operation
from app.web.problems import problem

PAGE = Path(__file__).parent / "docs"
#: What the page loads: Swagger UI, whose origin is in the README there, and ours: what starts it, and makes it dark.
LOADED = {
    "start.js": (PAGE / "start.js", "text/javascript"),
    "docs.css": (PAGE / "docs.css", "text/css"),
    "swagger-ui-bundle.js": (PAGE / "swagger-ui/swagger-ui-bundle.js", "text/javascript"),
    "swagger-ui.css": (PAGE / "swagger-ui/swagger-ui.css", "text/css"),
}
#: Its style sheet has pictures in it; it sets styles by script, which the policy allows.
POLICY = f"{html.POLICY}; img-src 'self' data:"


def register(app: faust.App, settings: Settings) -> None:
    """Put the documents on the app."""

    @cache
    def described() -> bytes:
        with_tokens = app.web.access is not None
        return to_text(openapi.document(app.web.views, with_tokens=with_tokens)).encode()

    @cache
    def topics() -> bytes:
        return to_text(asyncapi.document(settings)).encode()

    @app.page("/openapi.json", name="openapi")
    class OpenApi(View):
        """The calls."""

        @operation(_json_document("getOpenApi", "The description of these calls"))
        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return conditional(request, described(), "application/json")

    @app.page("/asyncapi.json", name="asyncapi")
    class AsyncApi(View):
        """The topics."""

        @operation(_json_document("getAsyncApi", "The description of the topics, as AsyncAPI 3"))
        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return conditional(request, topics(), "application/json")

    @app.page("/docs", name="docs")
    class Docs(View):
        """The page."""

        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return html.page(request, _text(PAGE / "index.html").decode(), POLICY)

    @app.page("/docs/{name}", name="docs-file")
    class DocsFile(View):
        """What the page loads."""

        async def get(self, request: web.Request, name: str) -> web.Response:
            """200 or 304; 404."""
            if name not in LOADED:
                return problem(404, "Not Found", "no such file")
            path, kind = LOADED[name]
            return conditional(request, _text(path), kind)

    del OpenApi, AsyncApi, Docs, DocsFile  # the app holds them


def to_text(document: object) -> str:
    """A document as a file has it, for a person too."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


@cache
def _text(path: Path) -> bytes:
    return path.read_bytes()


def _json_document(id_: str, summary: str) -> Operation:
    answers = {200: Answer("The document.", "application/json", TAG), 304: NOT_CHANGED}
    return Operation(id_, summary, answers, tag="documents")
