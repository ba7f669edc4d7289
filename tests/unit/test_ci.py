"""The CI workflow: it matches its published schema and contains the exercises' own commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import compose
from tests.support.http import EXAMPLE

SCRIPT = compose.ROOT / ".ci" / "one-transaction"
WORKFLOW = yaml.safe_load((compose.ROOT / ".github" / "workflows" / "ci.yml").read_text())


def lines(job: str) -> list[str]:
    steps: list[dict[str, Any]] = WORKFLOW["jobs"][job]["steps"]
    return [step["run"] for step in steps if "run" in step]


def test_it_matches_the_schema_of_a_workflow() -> None:
    # YAML 1.1 reads the key `on` as true; the schema means the word.
    workflow = {"on" if key is True else key: value for key, value in WORKFLOW.items()}
    compose.check("github-workflows", workflow)


def test_it_runs_what_a_change_must_pass() -> None:
    assert "bash .ci/run" in lines("native")


@pytest.mark.parametrize("command", [*lines("native"), *lines("containers")])
def test_each_line_is_one_that_bash_understands(command: str) -> None:
    subprocess.run(["bash", "-n"], input=command, text=True, check=True)


def test_it_follows_the_exercises_transaction_with_a_node_and_without() -> None:
    steps = lines("containers")
    assert steps.index("bash .ci/one-transaction scylla-1") < steps.index("docker kill scylla-1")
    assert steps.index("docker kill scylla-1") < steps.index("bash .ci/one-transaction scylla-2")


def test_the_followed_transaction_is_the_exercises_own() -> None:
    sent = re.search(r"--data '(.*)'", SCRIPT.read_text())
    assert sent
    assert json.loads(sent[1]) == EXAMPLE
    assert "USE transactions; SELECT * FROM transactions WHERE transaction_id = '$id';" in SCRIPT.read_text()


def test_a_transaction_with_a_row_passes_and_one_without_does_not(tmp_path: Path) -> None:
    """The script itself, with a curl and a docker that answer as the real ones would."""
    curl = (
        'case "$*" in *POST*) echo \'{"transaction_id": "i-1"}\';; *) echo \'{"status": "accepted"}\';; esac'
    )
    assert _followed(tmp_path, curl=curl, docker='echo " i-1 | accepted"') == 0
    assert _followed(tmp_path, curl=curl, docker='echo "(0 rows)"') == 1
    assert _followed(tmp_path, curl="exit 22", docker="exit 1") != 0


def _followed(folder: Path, **tools: str) -> int:
    for name, body in (tools | {"sleep": "true"}).items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(["bash", SCRIPT, "scylla-1"], env={"PATH": path}, check=False).returncode
