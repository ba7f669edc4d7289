"""The page that shows and tries the calls: of files of ours alone, which are what they were when they were taken."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

from app.web.documents import LOADED
from tests.unit.site import call

PAGE = Path(__file__).parents[2] / "app" / "web" / "docs"
ROWS = re.findall(
    r"^\| (\S+) \| ([0-9a-f]{64}) \|$", (PAGE / "swagger-ui/README.md").read_text(), re.MULTILINE
)


def test_the_page_has_no_script_and_no_style_in_itself_and_forbids_them() -> None:
    answer = call("GET", "/docs")
    text = answer.body.decode()
    assert answer.status == 200
    assert re.findall(r"<script[^>]*>([^<]+)|<style|\sstyle=|\son\w+=|javascript:", text) == []
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


def test_what_the_page_loads_is_here() -> None:
    loaded = re.findall(r'(?:src|href)="([^"]+)"', call("GET", "/docs").body.decode())
    here = [path for path in loaded if not path.startswith("data:")]
    assert {f"docs/{name}" for name in LOADED} | {"openapi.json"} == set(here)
    for path in here:
        answer = call("GET", "/" + path)
        assert (answer.status, len(answer.body) > 100) == (200, True)
        assert answer.headers["ETag"]


@pytest.mark.parametrize(
    "name", ["index.html", "..%2f..%2fsettings.py", "%2e%2e/documents.py", "README.md", "x"]
)
def test_nothing_else_is_given_away(name: str) -> None:
    assert call("GET", f"/docs/{name}").status == 404


@pytest.mark.parametrize(("name", "sha256"), ROWS)
def test_a_file_of_others_is_unchanged(name: str, sha256: str) -> None:
    assert hashlib.sha256((PAGE / "swagger-ui" / name).read_bytes()).hexdigest() == sha256


def test_each_file_of_others_has_its_hash() -> None:
    assert {path.name for path in (PAGE / "swagger-ui").iterdir()} - {"README.md"} == {
        name for name, _ in ROWS
    }
