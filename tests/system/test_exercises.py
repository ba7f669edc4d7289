"""Exercises that break nothing, run as a person runs them; a control must fail and name the broken promise.

The others, which take minutes, are run by `make exercises`.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from infra.native import processes, stack
from infra.native.paths import ROOT

pytestmark = pytest.mark.long


def exercise(*arguments: str) -> tuple[int, str]:
    """Its exit status and its transcript."""
    if stack.current_mode() != "split":
        pytest.fail("the exercises need split mode: make down, make up")
    command = [sys.executable, "-m", "exercises", *arguments, "--short"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
        check=False,
    )
    print(done.stdout)  # noqa: T201
    return done.returncode, done.stdout


@pytest.mark.parametrize("number", ["4", "9", "12"])
def test_keeps_its_promises_and_leaves_every_part_running(number: str) -> None:
    code, said = exercise(number)
    assert code == 0, said
    assert f"Exercise {number}: every promise kept" in said
    states = {name: part.state for name, part in processes.states().items() if name != "generator"}
    assert set(states.values()) == {"running"}, states


@pytest.mark.parametrize(
    ("number", "broken"),
    [
        ("4", "Avro, rename a field: the registry refuses it, and rightly"),
        ("9", "Protobuf, swap two numbers: the registry refuses it"),
        ("12", "a changed world: an index is over 0.25 within 10 minutes"),
    ],
)
def test_its_control_fails_and_says_what_broke(number: str, broken: str) -> None:
    code, said = exercise(number, "--control")
    assert code == 1
    assert f"BROKEN  {broken}" in said
