"""A command in a process of its own, whose lines are kept and can be followed as they come."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator

from infra.native.paths import CODE

LONGEST_LINE = 2**16  # bytes
MOST_LINES = 5_000


class Command:
    """`python -m …` from its start to its end; `status` is None while it runs."""

    def __init__(self, *arguments: str) -> None:
        self.arguments = arguments
        self.lines: list[str] = []
        self.last = ""
        self.status: int | None = None
        self.stopping = False
        self.began = time.time()
        self._news = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def start(self, environment: dict[str, str]) -> None:
        """In a session of its own: Ctrl-C in the terminal is the lab's, which then ends this in its own way."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *self.arguments),
            cwd=CODE,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=LONGEST_LINE,
            start_new_session=True,
        )
        self._reading = asyncio.create_task(self._read(self._process))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than any of ours
                continue
            if not line:
                break
            self.last = line.decode(errors="replace").rstrip("\n")
            if len(self.lines) < MOST_LINES:
                self.lines.append(self.last)
                self._tell()
        self.status = await process.wait()
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def stop(self) -> None:
        """Ask it to end, once: a second time would interrupt what it puts right."""
        if self._process and self.status is None and not self.stopping:
            self.stopping = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGTERM)

    async def ended(self) -> None:
        """Wait for its end."""
        if self._reading:
            await self._reading

    async def follow(self, seen: int, heartbeat: float) -> AsyncIterator[tuple[int, str | None]]:
        """Each line from number `seen` on, with its number; None after so many seconds without one. Until its end."""
        while True:
            news = self._news
            while seen < len(self.lines):
                yield seen, self.lines[seen]
                seen += 1
            if self.status is not None:
                return
            try:
                await asyncio.wait_for(news.wait(), heartbeat)
            except TimeoutError:
                yield seen, None
