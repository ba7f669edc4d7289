"""What the lab adds to the page, and the exercises' texts that it shows."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from exercises.__main__ import EXERCISES
from lab import page, texts

ROOT = Path(__file__).parents[2]
FILES = {name: body.decode() for name, body in page.files(page.OURS).items()}
SCRIPTS = {name: text for name, text in FILES.items() if name.endswith(".js")}
TEXT = re.compile(r'\bt\("((?:[^"\\]|\\.)*)"')
#: Texts that the scripts look up by a name.
TABLES = re.compile(r"^const (?:RUNNING|PAUSED|ENDED|COLUMNS) = (\[.*?\]);$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("language", texts.FOLDERS)
def test_each_exercise_says_what_will_happen_what_its_control_is_and_asks_its_questions(
    language: str,
) -> None:
    found = texts.exercises(language)
    assert [text["number"] for text in found] == [*EXERCISES]
    for text in found:
        assert text["title"][0].isupper()
        assert len(text["what"]) > 100
        assert re.search(r"^(The control|O controle)\b.*\w\.$", text["control"]), text["control"]
        assert len(text["questions"]) == 3
        said = " ".join([text["title"], text["what"], text["control"], *text["questions"]])
        assert not re.search(r"\]\(|\*\*|\n", said), said


def test_what_will_happen_is_what_the_exercise_itself_says() -> None:
    for text in texts.exercises("en"):
        said = inspect.cleandoc(EXERCISES[text["number"]].__doc__ or "").partition("\n\n")[2]
        assert text["what"] == " ".join(said.split())


def test_every_text_of_the_lab_is_there_in_portuguese_too_with_the_same_places_for_values() -> None:
    portuguese = json.loads(FILES["pt.json"])
    said = {text for script in SCRIPTS.values() for text in TEXT.findall(script)}
    for script in SCRIPTS.values():
        for table in TABLES.findall(script):
            rows = re.findall(r"\[([^\[\]]*)\]", table)
            cells = [re.findall(r'"([^"]*)"', row) for row in rows]
            said |= {cell for row in cells for cell in (row[1:] if len(row) == 3 else row[:1]) if cell}
    said |= {"running", "paused", "stopped", "killed"}
    assert said - portuguese.keys() == set()
    assert portuguese.keys() - said == set()
    for english, translated in portuguese.items():
        assert set(re.findall(r"\{\w+\}", english)) == set(re.findall(r"\{\w+\}", translated)), english


def test_its_scripts_are_one_job_long_and_nothing_in_them_is_what_the_policy_would_refuse() -> None:
    for name, text in FILES.items():
        assert text.count("\n") < 250, name
        assert not re.search(
            r"innerHTML|dangerouslySet|\beval\(|new Function|document\.write| style=", text
        ), name
        assert not re.search(r"https?://\w", text), name


def test_each_module_that_the_lab_imports_is_there() -> None:
    pages = page.files(page.PAGE)
    for name, text in SCRIPTS.items():
        for where, imported in re.findall(r'from\s*"(/static/|\./)([^"]+)"', text):
            names = set(pages if where == "/static/" else FILES)
            assert imported in names, (name, imported)


def test_the_page_leaves_the_places_where_the_lab_puts_its_hands() -> None:
    scripts = "".join(body.decode() for name, body in page.files(page.PAGE).items() if name.endswith(".js"))
    (added,) = re.findall(r"added\.set\(\{([^}]*)\}\)", SCRIPTS["lab.js"])
    for place in re.findall(r"(\w+):", added):
        assert f'<${{Added}} place="{place}"' in scripts


def test_no_image_has_the_lab() -> None:
    copied = re.findall(r"^COPY (?:--\S+ )?(\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert "lab" not in copied
    assert "." not in copied
