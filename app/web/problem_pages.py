"""GET /problems/<slug>: the page that an error's `type` leads to; GET /problems: all of them."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Literal

import faust
from aiohttp import web
from faust.web import View

from app.web.html import page
from app.web.openapi import NOT_CHANGED, TAG, Answer, Operation, Parameter, operation
from app.web.problem_types import ALL, BY_SLUG, PATH, ProblemType
from app.web.problems import problem

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

    @app.page(PATH, name="problems")
    class AllProblems(View):
        """Every problem that an answer may have."""

        @operation(Operation("getProblems", "Every problem that an answer may have", PAGE, tag="documents"))
        async def get(self, request: web.Request) -> web.Response:
            """200 or 304."""
            return page(request, document("Problems", map(_section, ALL)))

    @app.page(PATH + "/{slug}", name="problem")
    class OneProblem(View):
        """One of them."""

        @operation(ONE)
        async def get(self, request: web.Request, slug: str) -> web.Response:
            """200 or 304; 404."""
            type_ = BY_SLUG.get(slug)
            if type_ is None:
                return problem(404, "Not Found", f"no problem has this name; {PATH} has all of them")
            more = f'<p><a href="{PATH}">All problems</a></p>'
            return page(request, document(type_.title, [_section(type_), more]))

    del AllProblems, OneProblem  # the app holds them


def document(title: str, parts: Iterable[str]) -> str:
    """A page without style or script; it follows the reader's own light or dark."""
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<main>\n{''.join(parts)}</main>\n</html>\n"
    )


def _section(type_: ProblemType) -> str:
    return (
        f'<h1 id="{type_.slug}">{type_.status} {escape(type_.title)}</h1>\n'
        f"<p>{escape(type_.meaning)}</p>\n<h2>What to do</h2>\n<p>{escape(type_.remedy)}</p>\n"
        f"<p><code>{type_.uri}</code></p>\n"
    )
