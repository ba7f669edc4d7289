"""The processes of this stack, found by a mark in their environment, also after a crash of the supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from infra.native.interrupts import Hurry
from infra.native.paths import ROOT

STACK, PART = "FAUST_PAYMENTS_STACK", "FAUST_PAYMENTS_PART"
GONE = (psutil.NoSuchProcess, psutil.AccessDenied)


def ours() -> dict[psutil.Process, str]:
    """Each process that this stack has started, with the name of its part ("" for the supervisor itself).

    A command line proves nothing: somebody else's Kafka looks the same. The mark contains our path.
    """
    above = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found: dict[psutil.Process, str] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(*GONE):
            marks = process.environ() if process.pid not in above else {}
            if marks.get(STACK) == str(ROOT) and alive(process):
                found[process] = marks.get(PART, "")
    return found


def alive(process: psutil.Process) -> bool:
    """True until the process has ended; a zombie has ended."""
    try:
        # is_running compares the creation time too: a reused pid is not ours
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def paused(pid: int) -> bool:
    """True for a process stopped by SIGSTOP."""
    with contextlib.suppress(*GONE):
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    return False


def until_frozen(pid: int, seconds: float) -> None:
    """Wait until no thread of a process that was sent SIGSTOP runs any more; SystemExit when it takes too long."""
    deadline = time.monotonic() + seconds
    while not _frozen(pid):
        if time.monotonic() > deadline:
            raise SystemExit(f"{describe(pid)} does not stand still within {seconds:.0f} s of SIGSTOP")
        time.sleep(0.005)


def _frozen(pid: int) -> bool:
    try:
        stats = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    except FileNotFoundError:  # a thread has just ended
        return False
    # after the command's name, which may have blanks and brackets of its own
    return all(stat.rpartition(")")[2].split()[0] in "TtZX" for stat in stats) if stats else paused(pid)


def describe(pid: int) -> str:
    """A process in a few words, so that a person finds it."""
    with contextlib.suppress(*GONE):
        process = psutil.Process(pid)
        said = f"pid {pid} ({' '.join(process.cmdline())[:60] or process.name()})"
        stack = process.environ().get(STACK)
        return f"{said} of the stack in {stack}" if stack else said
    return f"pid {pid}"


def end(living: list[psutil.Process], grace: float, hurry: Hurry) -> list[psutil.Process]:
    """SIGTERM, wait, SIGKILL for the rest; return those that had to be killed."""
    _send(living, signal.SIGTERM, signal.SIGCONT)  # a paused one would not get it
    living = _wait(living, grace, hurry)
    _send(living, signal.SIGKILL)
    _wait(living, 5, Hurry())
    return living


def _send(processes: list[psutil.Process], *signals: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(*GONE):
            for number in signals:
                process.send_signal(number)  # psutil refuses a reused pid


def _wait(living: list[psutil.Process], seconds: float, hurry: Hurry) -> list[psutil.Process]:
    """Wait until all have ended, the time is up or a signal asks for force; return those that are left."""
    deadline = time.monotonic() + seconds
    while (living := list(filter(alive, living))) and time.monotonic() < deadline and not hurry.asked:
        time.sleep(0.05)
    return living
