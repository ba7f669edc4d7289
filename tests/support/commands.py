"""The commands inside the Faust CLI, run as a person runs them."""

from __future__ import annotations

import subprocess
import sys

from infra.native.paths import ROOT


def begin(*arguments: str, stderr: int = subprocess.STDOUT) -> subprocess.Popen[str]:
    """Start `faust -A app.main …`; its errors go with its output, or to `stderr`."""
    return subprocess.Popen(
        [sys.executable, "-m", "faust", "-A", "app.main", *arguments],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def run(*arguments: str, within: float = 120) -> tuple[int, str]:
    """Its exit status and what it said."""
    started = begin(*arguments)
    try:
        said, _ = started.communicate(timeout=within)
    finally:
        started.kill()
    return started.returncode, said


def done(*arguments: str) -> str:
    """What it said; it must have worked."""
    code, said = run(*arguments)
    assert code == 0, said
    return said
