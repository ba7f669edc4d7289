"""Every command in README and docs is run: here, as written, or by a test that is named here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.native.paths import ROOT
from tests.support import http

pytestmark = pytest.mark.long

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(make|faust|curl) [^#\n]*[^#\s]")

#: Where else a command is run, by its beginning.
ELSEWHERE = {
    "make test": "conftest.py",  # this very run
    "make up": "system/test_stack.py",  # WITH=prometheus: telemetry/conftest.py
    "make down": "system/test_stack.py",
    "make clean": "system/test_stack.py",  # also before make up KAFKA=3
    "make lab": "browser/test_lab_on_the_stack.py",
    "make exercise": "system/test_exercises.py",
    "make soak": "unit/test_exercises.py",  # ten minutes: its parts only
    "make rolling-restart": "unit/test_exercises.py",  # likewise
    "make recovery": "system/test_replay_redis.py",  # two minutes: the same, with fewer transactions
    "make replay": "system/test_replay.py",
    "faust -A app.main replay": "system/test_replay.py",
    "make verify": "system/test_agreement.py",
    "make backup": "system/test_backup.py",
    "make restore": "system/test_backup.py",
    "make backtest": "system/test_models.py",
    "make disagreements": "system/test_models.py",
    "make restart NAME=antifraud": "system/test_models.py",
    "make reassess": "system/test_reassess.py",
    "faust -A app.main reassess": "system/test_reassess.py",
    "make dead-letters S": "system/test_dead_letters.py",
    "make pass-over": "system/test_unreadable_batch.py",
    "make partitions": "own_stack/test_partitions.py",  # for good, on a stack of its own
    "faust -A app.main worker": "system/test_modes.py",
    "faust -A app.bff worker": "conftest.py",  # as the Procfile starts it
    "faust -A app.transactions worker": "conftest.py",
}


def shown() -> list[str]:
    """The commands in the pages' blocks, in order, each once."""
    blocks = [block for page in PAGES for block in BLOCK.findall(page.read_text().replace("\\\n", " "))]
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return list(dict.fromkeys(found[0] for line in lines if (found := COMMAND.match(line))))


def _elsewhere(command: str) -> str | None:
    return next((test for beginning, test in ELSEWHERE.items() if command.startswith(beginning)), None)


HERE = [command for command in shown() if not _elsewhere(command)]


@pytest.fixture(scope="module")
def transaction_id() -> str:
    return str(http.post().json["transaction_id"])


@pytest.fixture(autouse=True)
def _restored(whole_again: Iterator[None]) -> None:
    """A command may stop, hang or multiply a part."""


@pytest.mark.parametrize("command", HERE)
def test_it_works_as_it_is_written(command: str, transaction_id: str) -> None:
    line = command.replace("<the transaction_id>", transaction_id)
    done = subprocess.run(
        ["/bin/sh", "-c", f'PATH="{ROOT / ".venv" / "bin"}:$PATH"; {line}'],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.strip()
    # As a word: the reasons of dead letters name exceptions.
    assert not re.search(r"\berror\b|traceback", done.stdout, re.IGNORECASE), done.stdout


def test_the_others_are_run_by_a_test_that_is_there() -> None:
    used = {test for command in shown() if (test := _elsewhere(command))}
    assert used
    assert [test for test in ELSEWHERE.values() if not (Path(ROOT) / "tests" / test).is_file()] == []
    assert set(ELSEWHERE.values()) == used
