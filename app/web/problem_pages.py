"""GET /problems/<slug>: the page that an error's `type` leads to; GET /problems: all of them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Literal

import faust
from aiohttp import web
from faust.web import View

from app.web.conditional import conditional
from app.web.html import page
from app.web.openapi import NOT_CHANGED, TAG, Answer, Operation, Parameter, operation
from app.web.problem_types import ALL, BY_SLUG, PATH, ProblemType
from app.web.problems import problem

STYLE = f"{PATH}/problems.css"
STYLE_FILE = Path(__file__).parent / "docs" / "problems.css"
PAGE = {200: Answer("The page.", "text/html", TAG), 304: NOT_CHANGED}
ONE = Operation(
    "getProblem",
    "What a problem means and what to do",
    PAGE,
    ("no-such-path",),
    (Parameter("slug", Literal[tuple(BY_SLUG)], "The end of the problem's `type`.", "path"),),
    tag="documents",
)


def register(app: faust.App) -> None:
    """Put the pages on the app."""
    style = STYLE_FILE.read_bytes()

    @app.page(PATH, name="problems")
    class AllProblems(View):
        """Every problem that an answer may have."""

        @operation(Operation("getProblems", "Every problem that an answer may have", PAGE, tag="documents"))
        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return page(request, document("Problems", all_of_them()))

    @app.page(STYLE, name="problems-style")
    class Style(View):
        """How they look."""

        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return conditional(request, style, "text/css")

    @app.page(PATH + "/{slug}", name="problem")
    class OneProblem(View):
        """One of them."""

        @operation(ONE)
        async def get(self, request: web.Request, slug: str) -> web.Response:
            """200 or 304; 404."""
            type_ = BY_SLUG.get(slug)
            if type_ is None:
                return problem(404, "Not Found", f"no problem has this name; {PATH} has all of them")
            return page(request, document(f"{type_.status} {type_.title}", [_section(type_, "h1"), BACK]))

    del AllProblems, Style, OneProblem  # the app holds them


API = '<p><a href="/docs">The API</a></p>\n'
BACK = f'<p><a href="{PATH}">All problems</a> · <a href="/docs">The API</a></p>\n'


def all_of_them() -> Iterable[str]:
    """A list to choose from, then each."""
    yield "<h1>Problems</h1>\n<p>What the <code>type</code> of an error answer leads to, and what to do about it.</p>\n"
    entries = (
        f'<li><span class="status">{type_.status}</span> <a href="#{type_.slug}">{escape(type_.title)}</a> '
        f"<code>{type_.slug}</code></li>\n"
        for type_ in sorted(ALL, key=lambda type_: type_.status)
    )
    yield f'<ul class="list">\n{"".join(entries)}</ul>\n'
    for type_ in sorted(ALL, key=lambda type_: type_.status):
        yield _section(type_, "h2")
    yield API


def document(title: str, parts: Iterable[str]) -> str:
    """A page without script; it follows the reader's own light or dark."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">\n'
        f'<link rel="stylesheet" href="{STYLE}">\n'
        f"<title>{escape(title)} · Payments</title>\n<main>\n{''.join(parts)}</main>\n</html>\n"
    )


def _section(type_: ProblemType, heading: str) -> str:
    below = {"h1": "h2", "h2": "h3"}[heading]
    return (
        f'<{heading} id="{type_.slug}">{type_.status} {escape(type_.title)}</{heading}>\n'
        f"<p>{escape(type_.meaning)}</p>\n<{below}>What to do</{below}>\n<p>{escape(type_.remedy)}</p>\n"
        f"<p><code>{type_.uri}</code></p>\n"
    )
