"""The live page at `/` and its files: read once at start, served from memory, so no path leads anywhere else.

The page needs no build step. Its files are in app/web/static/, what others wrote in vendor/ there, with their licences.
"""

from __future__ import annotations

from pathlib import Path

import faust
from aiohttp import web
from faust.web import View

from app.web import html
from app.web.conditional import conditional
from app.web.openapi import NOT_CHANGED, TAG, Answer, Operation, operation
from app.web.problems import problem

FOLDER = Path(__file__).parent / "static"
#: What is served, and as what; licences and notes stay in the folder.
CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}

ICON = "icon.svg"


def read_files(folder: Path = FOLDER) -> dict[str, bytes]:
    """Every file that is served, by its path inside the folder, with `/` between its parts."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in CONTENT_TYPES
    }


def register(app: faust.App) -> None:
    """Put `/`, its icon and `/static/…` on the app; its files are no calls, and not described as such."""
    files = read_files()
    index = files["index.html"].decode()

    @app.page("/", name="page")
    class Page(View):
        """The live page."""

        @operation(
            Operation(
                "getPage",
                "The live page",
                {200: Answer("The page.", "text/html", TAG), 304: NOT_CHANGED},
                tag="documents",
            )
        )
        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return html.page(request, index)

    @app.page("/favicon.ico", name="favicon")
    class Favicon(View):
        """What browsers ask for by themselves, of a page that names no icon."""

        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return conditional(request, files[ICON], CONTENT_TYPES[Path(ICON).suffix])

    @app.page("/static/{file:.+}", name="static")
    class Static(View):
        """What the page loads."""

        async def get(self, request: web.Request, file: str) -> web.Response:
            """200 or 304; 404."""
            if file not in files:
                return problem(404, "Not Found", "no such file")
            return conditional(request, files[file], CONTENT_TYPES[Path(file).suffix])

    del Page, Favicon, Static  # the app holds them
