"""Stacks of a running process, sampled from outside by py-spy while something is done."""

import asyncio
import os
import re
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks.environment import VENV
from benchmarks.stages import Stack
from infra.native import orphans
from infra.native.paths import ROOT

PROFILER = VENV / "bin" / "py-spy"
RATE = 250  # looks a second
LONGEST = 600  # seconds
TO_WRITE = 60.0


@asynccontextmanager
async def watching(pid: int) -> AsyncIterator[Counter[Stack]]:
    """How often each stack was seen, filled at the end of the block.

    Of the thread that holds the interpreter's lock alone: whether another one runs or waits cannot be told for sure.
    """
    found = Counter[Stack]()
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "raw"
        process = await asyncio.create_subprocess_exec(
            PROFILER,
            *f"record --pid {pid} --rate {RATE} --format raw --function --gil --duration {LONGEST}".split(),
            *("--output", raw),
            # Marked as a part of the stack, so that `make down` ends one that was left behind.
            env=os.environ | {orphans.STACK: str(ROOT), orphans.PART: PROFILER.name},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield found
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            async with asyncio.timeout(TO_WRITE):
                _, said = await process.communicate()
        if not raw.exists():
            raise SystemExit(
                f"no profile: py-spy ended with status {process.returncode}: {said.decode()[-300:]}"
            )
        found.update(parse(raw.read_text()))


def parse(raw: str) -> Counter[Stack]:
    """py-spy's raw format: a stack a line, `outer;inner count`."""
    found = Counter[Stack]()
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        found[tuple(_frame(frame) for frame in stack.split(";"))] += int(count)
    return found


def _frame(frame: str) -> str:
    """`function (package/file)`: where Python is installed on this machine is nobody's business."""
    return re.sub(r"\((?:/.*/)?([^()]+?)(?::\d+)?\)$", r"(\1)", frame)
