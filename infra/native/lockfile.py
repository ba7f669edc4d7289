"""One command at a time changes the stack; the lock dies with the process that holds it.

An exercise, a demo, the tests or a benchmark hold it as long as they run: what they start themselves is let in by a
mark in its environment, whatever somebody types beside them is refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from infra.native.paths import LOCK

MARK = "FAUST_PAYMENTS_HOLDER"
WAIT = 240.0  # seconds for another up, down or start to end; up itself gives up after 180


class Holder(NamedTuple):
    """Who holds the lock, as written into it."""

    mark: str = ""
    pid: int = 0
    command: str = "another command"
    since: str = "a moment ago"
    for_long: bool = False

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid}, since {self.since})" if self.pid else self.command


@contextlib.contextmanager
def held(for_long: bool = False) -> Iterator[None]:
    """Hold the lock, or go on at once if whoever started us does; nobody waits for what takes long, he is refused."""
    file = _take()
    if file is None:
        yield
        return
    before = os.environ.get(MARK)
    os.environ[MARK] = _write(file, for_long).mark
    try:
        yield
    finally:
        del os.environ[MARK]
        os.environ |= {} if before is None else {MARK: before}
        LOCK.unlink(missing_ok=True)
        os.close(file)


def _take() -> int | None:
    """The open lock, ours; None if it is held for us."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    ends, published = time.monotonic() + WAIT, ""
    while (file := _try()) is None:
        holder = _read()
        if holder.mark and holder.mark == os.environ.get(MARK):
            return None
        if holder.for_long or time.monotonic() > ends:
            raise SystemExit(f"the stack is in use by {holder}; end that, or try again when it has ended")
        if published != holder.mark:
            print(f"waiting for {holder} to end, at most {WAIT:.0f} s …", flush=True)
            published = holder.mark
        time.sleep(0.1)
    return file


def _try() -> int | None:
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # who held it may have removed the file since we opened it: then this lock guards nothing
        if os.path.samestat(os.fstat(file), LOCK.stat()):
            return file
    os.close(file)
    return None


def _write(file: int, for_long: bool) -> Holder:
    words = " ".join([os.path.basename(sys.orig_argv[0]), *sys.orig_argv[1:]]).split()
    mark = f"{os.getpid()}-{time.time_ns()}"
    holder = Holder(mark, os.getpid(), " ".join(words)[:60], time.strftime("%H:%M:%S"), for_long)
    os.ftruncate(file, 0)  # one that was killed has left its own
    os.pwrite(file, json.dumps(holder).encode(), 0)
    return holder


def _read() -> Holder:
    """What the file says; it may not be written yet, or be gone."""
    with contextlib.suppress(OSError, ValueError):
        return Holder(*json.loads(LOCK.read_text()))
    return Holder()
