"""The alert rules, as promtool understands them: each fires when it should and stays quiet when it should."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from infra.native.beside import PROGRAMS
from tests.support import promql

pytestmark = pytest.mark.telemetry

FOLDER = promql.RULES.parent
ALERTS = [rule["alert"] for rule in promql.rules()]


def promtool(*arguments: str, folder: Path = FOLDER) -> subprocess.CompletedProcess[str]:
    if not shutil.which("promtool"):
        pytest.fail(f"promtool is missing, it comes with prometheus: {PROGRAMS['prometheus']}")
    return subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)


def copy_with(folder: Path, alert: str, expr: str) -> None:
    """The rules and their cases, with another expression for one alert."""
    groups = yaml.safe_load(promql.RULES.read_text())
    for group in groups["groups"]:
        for rule in group["rules"]:
            if rule["alert"] == alert:
                rule["expr"] = expr
                rule.pop("for", None)
    (folder / "alerts.yml").write_text(yaml.safe_dump(groups))
    shutil.copy(FOLDER / "alerts_test.yml", folder)


def test_prometheus_takes_the_configuration_and_the_rules() -> None:
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout


def test_each_alert_fires_and_stays_quiet_as_its_cases_say() -> None:
    done = promtool("test", "rules", "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", ALERTS)
@pytest.mark.parametrize("expr", ["vector(0) > 1", "vector(1) > 0"], ids=["never fires", "always fires"])
def test_the_cases_notice_an_alert_that(expr: str, alert: str, tmp_path: Path) -> None:
    copy_with(tmp_path, alert, expr)
    done = promtool("test", "rules", "alerts_test.yml", folder=tmp_path)
    assert done.returncode != 0
    assert re.search(rf"alertname: ?{alert}\b", done.stdout + done.stderr)
