"""The exercises' texts for the page, out of docs/exercises and docs/exercises/pt: what will happen, the questions."""

from __future__ import annotations

import re
from pathlib import Path

from infra.native.paths import CODE
from lab.answers import Json

DOCS = CODE / "docs" / "exercises"
FOLDERS = {"en": DOCS, "pt": DOCS / "pt"}
NUMBERS = sorted(int(page.stem) for page in DOCS.glob("[0-9]*.md"))
CONTROL = re.compile(r"^\*\*(The control|O controle)\*\*(.*?)\n(?:\n|```)", re.MULTILINE | re.DOTALL)


def exercises(language: str) -> list[Json]:
    """All of them, in a language of FOLDERS."""
    return [{"number": number, **text_of(FOLDERS[language] / f"{number}.md")} for number in NUMBERS]


def text_of(path: Path) -> Json:
    """`title`, `what` will happen, what the `control` does, the `questions`; in them `code` stays between backticks."""
    text = path.read_text()
    heading, _, rest = text.partition("\n")
    control = CONTROL.search(text)
    questions = re.split(r"^\d+\. ", text.rpartition("\n## ")[2], flags=re.MULTILINE)[1:]
    return {
        "title": _sentence(heading.partition(": ")[2]),
        "what": _plain(rest.partition("```")[0]),
        "control": f"{_plain(control[1] + control[2]).removesuffix(':')}." if control else "",
        "questions": [_plain(question) for question in questions],
    }


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _plain(text: str) -> str:
    """One line, without links and emphasis."""
    text = re.sub(r" \(\[[^\]]*\]\([^)]*\)\)", "", text)  # (a link in brackets of its own)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(text.replace("**", "").split())
