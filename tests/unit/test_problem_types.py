"""Every problem that the code can answer has a row, and the row a page."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.web.problem_pages import _section, document
from app.web.problem_types import ALL, OF_SERVER, OF_VIEWS, OTHER, PATH, ProblemType, type_of
from app.web.problems import refused
from tests.unit.site import call

WEB = Path(__file__).parents[2] / "app" / "web"
#: What aiohttp raises by itself, for any application.
BY_ITSELF = {400, 404, 405, 408, 413, 417}


def answered() -> Iterator[tuple[str, int, str]]:
    """File, status (0: as it comes) and title of each call that makes a problem."""
    for path in sorted(WEB.glob("*.py")):
        tree = ast.parse(path.read_text())
        names = {
            target.id: node.value.value
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        names |= {"INVALID": "Invalid request payload"}  # of app.web.validation
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id not in ("problem", "unavailable"):
                continue
            said: list[Any] = [
                a.value if isinstance(a, ast.Constant) else names.get(getattr(a, "id", "")) for a in node.args
            ]
            status, title = (503, said[0]) if node.func.id == "unavailable" else said[:2]
            if path.name != "problems.py" or isinstance(title, str):
                yield path.name, status or 0, title or f"line {node.lineno}: which title?"


@pytest.mark.parametrize(("file", "status", "title"), sorted(set(answered())))
def test_every_problem_that_a_view_answers_has_a_row(file: str, status: int, title: str) -> None:
    row = type_of(status, title)
    assert row is not OTHER, f"{file}: add a row for {title!r} to app/web/problem_types.py"
    assert status in (0, row.status)
    assert row.title == title


def test_the_calls_are_found() -> None:
    assert len(set(answered())) >= len(OF_VIEWS)


def test_no_row_is_without_an_answer() -> None:
    """A page about what is never answered would be a lie in the documentation."""
    titles = {title for _, _, title in answered()}
    assert [row.title for row in OF_VIEWS if row.title not in titles] == []


@pytest.mark.parametrize("status", sorted(BY_ITSELF))
def test_what_the_web_server_refuses_has_a_row_of_its_own(status: int) -> None:
    (row,) = [row for row in OF_SERVER if row.status == status]
    assert type_of(status, "whatever this version of HTTP calls it") is row


def test_any_other_status_leads_to_a_page_too() -> None:
    answer = refused(web.HTTPGone(), make_mocked_request("GET", "/"))
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["type"] == OTHER.uri


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.slug)
def test_each_type_resolves_to_a_page_that_explains_it(row: ProblemType) -> None:
    answer = call("GET", row.uri)
    text = answer.body.decode()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert row.title in text
    assert "What to do" in text


def test_all_of_them_have_a_title_a_list_and_a_way_back() -> None:
    text = call("GET", PATH).body.decode()
    assert re.findall("<h1>(.*)</h1>", text) == ["Problems"]
    listed = re.findall('<a href="#([a-z-]+)">', text)
    assert (
        sorted(listed) == sorted(re.findall('<h2 id="([a-z-]+)">', text)) == sorted(row.slug for row in ALL)
    )
    assert 'href="/docs"' in text
    assert f'href="{PATH}"' in call("GET", ALL[0].uri).body.decode()


def test_a_page_has_its_style_from_a_file_of_ours() -> None:
    (path,) = re.findall('<link rel="stylesheet" href="([^"]+)">', call("GET", ALL[0].uri).body.decode())
    style = call("GET", path)
    assert (style.status, style.headers["Content-Type"]) == (200, "text/css")
    assert "<style" not in call("GET", PATH).body.decode()


def test_a_page_allows_neither_inline_code_nor_another_host() -> None:
    policy = call("GET", PATH).headers["Content-Security-Policy"]
    assert policy == "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"


def test_slugs_and_titles_are_each_others() -> None:
    assert len({row.slug for row in ALL}) == len({row.title for row in ALL}) == len(ALL)


def test_an_unknown_name_is_a_problem_itself_and_is_not_repeated() -> None:
    answer = call("GET", PATH + "/%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert b"script" not in answer.body


def test_what_a_row_says_is_text_whatever_it_has_in_it() -> None:
    row = ProblemType("x", "<b>", 400, "a < b", "&")
    assert "<b>" not in document(row.title, [_section(row, "h1")])
