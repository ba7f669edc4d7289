"""The faust commands, run as a person runs them."""

from __future__ import annotations

import math
import subprocess
import sys
import time

from exercises.context import say
from infra.native.paths import ROOT


def faust(*arguments: str) -> tuple[int, str]:
    """`faust -A app.main …`: its exit status and what it said."""
    say(f"  faust -A app.main {' '.join(arguments)}")
    done = subprocess.run(
        [sys.executable, "-m", "faust", "-A", "app.main", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return done.returncode, done.stdout


def seconds_since(moment: float) -> str:
    """For a command's --since: a time.monotonic() in whole seconds, rounded up."""
    return str(math.ceil(time.monotonic() - moment) + 1)
