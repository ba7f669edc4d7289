"""On call: each alert leads to its section, each section has an alert, and the commands in it can be typed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from faust.cli.base import cli

from app.main import app
from tests.support import promql

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs" / f"{name}.md" for name in ("runbooks", "upgrades", "backup", "retention")]
RUNBOOKS = PAGES[0].read_text()
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL))
RULES: list[dict[str, Any]] = [*promql.rules()]
#: What somebody who was woken up wants to know, in this order.
QUESTIONS = ("**What it means for clients.**", "**See it.**", "**What to do.**", "**It is over**")


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert list(SECTIONS) == [rule["alert"] for rule in RULES]


def test_an_alert_leads_to_its_own_section() -> None:
    """As GitHub links to a heading."""
    led = {rule["alert"]: rule["annotations"]["runbook_url"] for rule in RULES}
    assert led == {alert: f"docs/runbooks.md#{alert.lower()}" for alert in SECTIONS}


@pytest.mark.parametrize("alert", SECTIONS)
def test_a_section_answers_four_questions_and_shows_what_was_seen(alert: str) -> None:
    places = [SECTIONS[alert].find(question) for question in QUESTIONS]
    assert -1 not in places
    assert places == sorted(places)
    assert "```" in SECTIONS[alert]


@pytest.mark.parametrize("alert", SECTIONS)
def test_a_section_says_how_urgent_it_is_as_the_alert_does(alert: str) -> None:
    (severity,) = (rule["labels"]["severity"] for rule in RULES if rule["alert"] == alert)
    assert SECTIONS[alert].strip().startswith(f"*{severity}*")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_command_can_be_typed(page: Path) -> None:
    assert app.conf.id  # whose import puts its commands on the line
    text = page.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", text)) <= targets
    assert set(re.findall(r"faust -A app\.main ([a-z-]+)", text)) <= set(cli.commands)
