"""GET /openapi.json, /asyncapi.json: what can be called, and read."""

from __future__ import annotations

import json
from functools import cache

import faust
from aiohttp import web
from faust.web import View

from app.settings import Settings
from app.web import asyncapi, openapi
from app.web.conditional import conditional
from app.web.openapi import NOT_CHANGED, TAG, Answer, Operation, operation


def register(app: faust.App, settings: Settings) -> None:
    """Put the documents on the app."""

    @cache
    def described() -> bytes:
        return to_text(openapi.document(app.web.views)).encode()

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

    del OpenApi, AsyncApi  # the app holds them


def to_text(document: object) -> str:
    """A document as a file has it, for a person too."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _page(kind: str) -> dict[int, Answer]:
    return {200: Answer("The page.", kind, TAG), 304: NOT_CHANGED}


def _json_document(id_: str, summary: str) -> Operation:
    return Operation(id_, summary, _page("application/json"), tag="documents")
