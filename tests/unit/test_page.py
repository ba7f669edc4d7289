"""The live page's files: small, whole, from nowhere else, and served from memory."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import re
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.live import audit_rounds
from app.live.audit import Audit
from app.system.costs import COSTS
from app.web import page

FILES = page.read_files()
OURS = {name: body.decode() for name, body in FILES.items() if not name.startswith("vendor/")}
SCRIPTS = {name: text for name, text in OURS.items() if name.endswith(".js")}
MOST = 120_000  # bytes of JavaScript and CSS, uncompressed


def get(path: str, headers: dict[str, str] | None = None, **parts: str) -> web.Response:
    views: dict[str, Any] = {}

    def page_at(path: str, **_: Any) -> Any:
        return lambda view: views.setdefault(path, view)

    page.register(cast(Any, SimpleNamespace(page=page_at)))
    pattern = path if path in views else "/static/{file:.+}"
    request = make_mocked_request("GET", path, headers=headers)
    return cast(web.Response, asyncio.run(views[pattern].get(None, request, **parts)))


def test_the_page_is_at_the_root_and_lets_nothing_run_that_is_not_its_own() -> None:
    found = get("/")
    assert (found.status, found.content_type, found.charset) == (200, "text/html", "utf-8")
    policy = found.headers["Content-Security-Policy"]
    assert policy == "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"
    assert found.headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("file", "content_type"),
    [
        ("main.js", "text/javascript"),
        ("vendor/preact.mjs", "text/javascript"),
        ("page.css", "text/css"),
        ("icon.svg", "image/svg+xml"),
        ("pt.json", "application/json"),
    ],
)
def test_a_file_has_its_content_type(file: str, content_type: str) -> None:
    found = get(f"/static/{file}", file=file)
    assert (found.status, found.content_type) == (200, content_type)
    assert found.body == FILES[file]


@pytest.mark.parametrize(
    "file",
    [
        "../page.py",
        "vendor/../../page.py",
        "/etc/passwd",
        "vendor/README.md",
        "vendor",
        "",
        "MAIN.JS",
        "main.js\0",
    ],
)
def test_a_path_leads_to_the_pages_files_and_nowhere_else(file: str) -> None:
    assert get("/static/x", file=file).status == 404


def test_what_a_browser_asks_for_by_itself_is_the_pages_icon() -> None:
    found = get("/favicon.ico")
    assert (found.status, found.content_type, found.body) == (200, "image/svg+xml", FILES["icon.svg"])


def test_who_has_a_file_is_not_sent_it_again() -> None:
    tag = get("/static/main.js", file="main.js").headers["ETag"]
    again = get("/static/main.js", {"If-None-Match": tag}, file="main.js")
    assert (again.status, again.body, again.headers["ETag"]) == (304, None, tag)
    assert get("/static/page.css", {"If-None-Match": tag}, file="page.css").status == 200
    assert get("/", {"If-None-Match": get("/").headers["ETag"]}).status == 304


def test_scripts_and_styles_are_within_their_bytes() -> None:
    sizes = {name: len(body) for name, body in FILES.items() if name.endswith((".js", ".mjs", ".css"))}
    assert sum(sizes.values()) <= MOST, sizes


def test_a_script_is_one_job_long() -> None:
    assert {name: lines for name, text in SCRIPTS.items() if (lines := text.count("\n")) >= 250} == {}


def test_nothing_is_loaded_from_another_host() -> None:
    namespaces = re.compile(r"https?://www\.w3\.org/[\w/]+")
    for name, body in FILES.items():
        text = namespaces.sub("", body.decode())
        assert not re.search(r"https?://\w|[\"'(]//\w", text), name


def test_nothing_is_inline_that_the_policy_would_refuse() -> None:
    html = OURS["index.html"]
    assert "<style" not in html
    assert " style=" not in html
    assert not re.search(r"\son\w+=", html)
    assert re.findall(r"<script(?![^>]*\ssrc=)", html) == []
    for name, text in SCRIPTS.items():
        assert not re.search(r"innerHTML|dangerouslySet|\beval\(|new Function|document\.write", text), name


def test_each_module_that_is_imported_is_there() -> None:
    for name, text in [(n, body.decode()) for n, body in FILES.items() if n.endswith((".js", ".mjs"))]:
        folder = name.rpartition("/")[0]
        for imported in re.findall(r'from\s*"([^"]+)"', text):
            assert imported.startswith("./"), (name, imported)
            assert f"{folder}/{imported[2:]}".removeprefix("/") in FILES, (name, imported)


def test_vendored_files_are_as_their_readme_says() -> None:
    readme = (page.FOLDER / "vendor" / "README.md").read_text()
    vendored = {name: body for name, body in FILES.items() if name.startswith("vendor/")}
    for name, body in vendored.items():
        assert hashlib.sha256(body).hexdigest() in readme, name
    for licence in re.findall(r"\[(LICENSE\.\w+)\]", readme):
        assert (page.FOLDER / "vendor" / licence).is_file()


def test_every_text_is_there_in_portuguese_too_with_the_same_places_for_values() -> None:
    portuguese = json.loads(OURS["pt.json"])
    said = {
        text for script in SCRIPTS.values() for text in re.findall(r'\bt\(\s*"((?:[^"\\]|\\.)*)"', script)
    }
    assert said - portuguese.keys() == set()
    for english, translated in portuguese.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", translated)), english


def test_sentences_of_the_bffs_that_the_page_looks_for_are_as_the_bff_says_them() -> None:
    looked_for, said = SCRIPTS["truth.js"], inspect.getsource(audit_rounds)
    assert f'"{Audit().words()[1]}"' in looked_for
    for sentence in ("cannot be asked; what is there is counted later", "the log cannot be read"):
        assert sentence in looked_for
        assert sentence in said


def test_an_impact_has_as_many_clauses_in_portuguese_for_the_page_leaves_some_out() -> None:
    portuguese = json.loads(OURS["pt.json"])
    for row in COSTS.values():
        assert row.cost.count("; ") == portuguese[row.cost].count("; "), row.cost
