"""The Procfile without the launcher: `honcho start` accepts it and finds each line's program."""

from __future__ import annotations

import re
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


def test_honcho_started_as_the_readme_writes_it_finds_the_program_of_each_line(tmp_path: Path) -> None:
    """In a shell that knows nothing of the environment; each program only says its version."""
    (line,) = re.findall(r"`([^`]*honcho start)`", (compose.ROOT / "README.md").read_text())
    (tmp_path / ".venv").symlink_to(sys.prefix)
    programs = {
        name: re.sub(r"^(env( \w+=\S+)+ )?(\w+) .*", r"\1\3 --version", command)
        for name, command in procfile.read().items()
    }
    (tmp_path / "Procfile").write_text("".join(f"{name}: {command}\n" for name, command in programs.items()))
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    said = done.stdout + done.stderr
    assert "not found" not in said
    ended = dict(re.findall(r"(\S+)\.1 stopped \(rc=(-?\d+)\)", said))
    assert ended.keys() == programs.keys()
    # the first that ends makes honcho end the others
    assert set(ended.values()) <= {"0", "-15"}, said
    assert "0" in ended.values()


def test_each_line_runs_a_program_that_exists() -> None:
    programs = {command.split()[0] for command in procfile.read().values()}
    assert all(shutil.which(program, path=f"{BIN}:/usr/bin:/bin") for program in programs), programs
