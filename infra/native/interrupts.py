"""Ctrl-C, SIGTERM and SIGHUP mean the same: the work is broken off, and what it has started is ended whatever comes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Hurry:
    """Takes their place while something is ended: none breaks that off, each asks for force."""

    asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        self.asked = True


@contextlib.contextmanager
def alike() -> Iterator[None]:
    """SIGTERM and SIGHUP do what Ctrl-C does; one that is ignored (nohup) stays so."""
    chosen = [number for number in SIGNALS[1:] if signal.getsignal(number) is signal.SIG_DFL]
    for number in chosen:
        signal.signal(number, _as_ctrl_c)
    try:
        yield
    finally:
        for number in chosen:
            signal.signal(number, signal.SIG_DFL)


def _as_ctrl_c(_number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)  # asyncio has one of its own
    if not callable(handler):  # a script's background job ignores Ctrl-C, and is not to ignore this
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextlib.contextmanager
def noted() -> Iterator[Hurry]:
    """Meanwhile no signal breaks off what is done: who waits there looks whether one was sent."""
    now = signal.getsignal(signal.SIGINT)
    if isinstance(now, Hurry):
        yield now
        return
    hurry = Hurry()
    if threading.current_thread() is not threading.main_thread():
        yield hurry  # signals are the main thread's: whoever waits there for this one hears of them
        return
    before = {number: signal.signal(number, hurry) for number in SIGNALS}
    try:
        yield hurry
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def mute_if_unheard() -> None:
    """A terminal or a pipe that is gone is no reason to leave something running: what is said goes nowhere then."""
    try:
        print(flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
