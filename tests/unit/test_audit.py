"""`make audit` never takes a missing answer for a clean one."""

import json
from typing import Any

from infra.audit import verdict

CLEAN = {"name": "idna", "version": "3.10", "vulns": []}
FLAWED = {"name": "idna", "version": "2.0", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
SKIPPED = {"name": "idna", "skip_reason": "not found"}


def said(*packages: dict[str, Any]) -> tuple[int, str]:
    return verdict(json.dumps({"dependencies": packages, "fixes": []}), "")


def test_a_clean_audit_says_the_number_of_packages() -> None:
    assert said(CLEAN, CLEAN) == (0, "No advisory about any of 2 packages")


def test_an_advisory_is_named_and_fails() -> None:
    assert said(CLEAN, FLAWED) == (1, "idna 2.0: PYSEC-2024-60, fixed in 3.7")


def test_a_package_that_was_not_asked_about_fails() -> None:
    code, text = said(CLEAN, SKIPPED)
    assert code == 2
    assert "knew nothing of 1 of 2 packages" in text


def test_a_service_that_cannot_be_reached_is_one_line_and_fails() -> None:
    code, text = verdict("", "Traceback …\nConnectionError: Failed to resolve")
    assert code == 2
    assert text == "No audit: the advisory service could not be reached: ConnectionError: Failed to resolve"
