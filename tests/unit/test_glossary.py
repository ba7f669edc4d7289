"""The glossary's words are in the code, and the words that they replaced are not."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| (`.*`) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs/glossary.md").read_text())
PLACE = re.compile(r"`([\w/]+\.py)`((?: `\w+`)+)")

#: Words of names in the code that others have replaced: publish, fenced producer, ports, duplicates, dead letter, ...
RETIRED = {
    "tell", "tells", "told", "teller", "telling", "untold", "doors", "twins", "bury", "buries", "buried", "outbox",
    "narrator", "narrates", "census", "scene", "acts", "ledger",
}  # fmt: skip
#: A word that is right behind another one.
ONLY_BEHIND = {"letter": "dead", "letters": "dead"}
CODE = (
    "app",
    "antifraud",
    "commerce",
    "generator",
    "history",
    "infra",
    "reconciliation",
    "exercises",
    "benchmarks",
    "tests",
)


def test_every_word_has_a_translation_and_a_place() -> None:
    assert len(ROWS) >= 40
    assert [
        word for word, portuguese, meaning, _ in ROWS if not portuguese.strip() or not meaning.strip()
    ] == []


@pytest.mark.parametrize(("word", "places"), [(row[0], row[3]) for row in ROWS])
def test_a_word_is_where_the_glossary_says(word: str, places: str) -> None:
    found = PLACE.findall(places)
    assert found, word
    for file, names in found:
        defined = set(names_in(ROOT / file))
        assert [name for name in re.findall(r"\w+", names) if name not in defined] == [], file


def names_in(path: Path) -> Iterator[str]:
    """Every name that a file gives to something: classes, functions, arguments, variables, attributes."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def retired_in(name: str) -> list[str]:
    words = [word.lower() for part in name.split("_") for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", part)]
    wrong = [word for word in words if word in RETIRED]
    return wrong + [
        word
        for before, word in zip(["", *words], words, strict=False)
        if word in ONLY_BEHIND and before != ONLY_BEHIND[word]
    ]


def test_no_module_class_function_or_variable_has_a_retired_word() -> None:
    files = [path for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))]
    wrong = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in sorted({path.stem, *names_in(path)})
        # The name of a test is a sentence.
        if retired_in(name) and not name.startswith("test_")
    ]
    assert wrong == []
