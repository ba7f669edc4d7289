"""The Procfile alone, without the launcher: `honcho start` takes it, and finds what each line runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from infra.native import procfile
from tests.support import compose

BIN = Path(sys.executable).parent


def test_honcho_reads_the_same_twelve_lines() -> None:
    done = subprocess.run(
        [BIN / "honcho", "check"], cwd=compose.ROOT, capture_output=True, text=True, check=True
    )
    assert all(name in done.stdout + done.stderr for name in procfile.read())


def test_each_line_runs_a_program_that_is_there() -> None:
    programs = {command.split()[0] for command in procfile.read().values()}
    assert all(shutil.which(program, path=f"{BIN}:/usr/bin:/bin") for program in programs), programs
