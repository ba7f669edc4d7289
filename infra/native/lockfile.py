"""One command at a time changes the stack; the lock dies with the process that holds it.

An exercise, a demo, the tests or a benchmark hold it for as long as they run: commands that they start carry a mark in
their environment and are let in, commands that somebody types meanwhile are refused.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator

from infra.native.paths import LOCK

MARK = "FAUST_PAYMENTS_HOLDER"
WAIT = 240.0  # seconds for another up, down or start to end; up itself gives up after 180


@contextlib.contextmanager
def held(for_long: bool = False) -> Iterator[None]:
    """Hold the lock; no-op if whoever started us holds it. Others wait for it, or are refused if it is for long."""
    file = _take()
    if file is None:
        yield
        return
    command = " ".join([os.path.basename(sys.orig_argv[0]), *sys.orig_argv[1:]]).split()
    holder = f"{' '.join(command)[:60]} (pid {os.getpid()}, since {time.strftime('%H:%M:%S')})"
    os.ftruncate(file, 0)  # a killed holder has left its own line
    os.pwrite(file, json.dumps([holder, for_long]).encode(), 0)
    os.environ[MARK] = holder
    try:
        yield
    finally:
        del os.environ[MARK]
        LOCK.unlink(missing_ok=True)
        os.close(file)


def _take() -> int | None:
    """The open lock file, locked by us; None if whoever started us holds it."""
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    ends, shown = time.monotonic() + WAIT, ""
    while (file := _try()) is None:
        holder, for_long = _holder()
        if holder == os.environ.get(MARK):
            return None
        if for_long or time.monotonic() > ends:
            who = holder or "another command"
            raise SystemExit(f"the stack is in use by {who}; end that, or try again when it has ended")
        if shown != holder:
            print(f"waiting for {holder} to end, at most {WAIT:.0f} s …", flush=True)
            shown = holder
        time.sleep(0.1)
    return file


def _try() -> int | None:
    file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    with contextlib.suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # its last holder may have removed the file since we opened it; then this lock guards nothing
        if os.path.samestat(os.fstat(file), LOCK.stat()):
            return file
    os.close(file)
    return None


def _holder() -> tuple[str, bool]:
    """Who holds it, and whether for long; empty if the line is not written yet, or the file is gone."""
    with contextlib.suppress(OSError, ValueError):
        holder, for_long = json.loads(LOCK.read_text())
        return holder, for_long
    return "", False
