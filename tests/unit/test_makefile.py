"""The Makefile's switches, as `make -n` shows what it would run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from infra.native import procfile

ROOT = Path(__file__).parents[2]
SWITCHES = [
    ("replay", "DRY", "--dry-run"),
    ("replay", "RESUME", "--resume"),
    ("reassess", "DRY", "--dry-run"),
    ("verify", "JSON", "--json"),
    ("evaluate", "JSON", "--json"),
    ("backtest", "JSON", "--json"),
    ("disagreements", "JSON", "--json"),
    ("topic", "FOLLOW", "--follow"),
    ("logs", "FOLLOW", "--follow"),
    ("exercise", "CONTROL", "--control"),
    ("bench", "QUICK", "--quick"),
]


def would_run(*arguments: str) -> str:
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, text=True, capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize(("target", "name", "option"), SWITCHES)
def test_a_switch_is_on_by_any_word_and_off_by_a_no(target: str, name: str, option: str) -> None:
    assert option not in would_run(target, "NAME=x", "N=1")
    for yes in ("1", "yes", "true"):
        assert option in would_run(target, "NAME=x", "N=1", f"{name}={yes}")
    for no in ("", "0", "no", "false"):
        assert option not in would_run(target, "NAME=x", "N=1", f"{name}={no}")


@pytest.mark.parametrize("target", ["up", "demo"])
def test_the_deployment_mode_has_its_former_name_too_and_the_environments_mode_is_another(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODE", "production")
    assert '--mode ""' in would_run(target)
    assert '--mode "combined"' in would_run(target, "MODE=combined")
    assert '--mode "one"' in would_run(target, "FORM=one")
    assert procfile.check_mode("one") == "combined"
    assert procfile.check_mode("two") == "split"
