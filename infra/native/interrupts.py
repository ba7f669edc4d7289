"""Ctrl-C, SIGTERM and SIGHUP mean the same: stop the work, and end whatever it has started, come what may."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Hurry:
    """Their handler while something is being ended: none of them interrupts that, each asks for force."""

    asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """A signal has come."""
        self.asked = True


@contextlib.contextmanager
def alike() -> Iterator[None]:
    """SIGTERM and SIGHUP act like Ctrl-C; one that is ignored (nohup) stays ignored."""
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
    if not callable(handler):  # a script's background job ignores Ctrl-C, but must not ignore this
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextlib.contextmanager
def noted() -> Iterator[Hurry]:
    """Meanwhile no signal interrupts; waiting code checks whether one was sent."""
    now = signal.getsignal(signal.SIGINT)
    if isinstance(now, Hurry):
        yield now
        return
    hurry = Hurry()
    if threading.current_thread() is not threading.main_thread():
        yield hurry  # signals reach the main thread, and whoever waits there for this one
        return
    before = {number: signal.signal(number, hurry) for number in SIGNALS}
    try:
        yield hurry
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """asyncio.run; a signal between making the coroutine and running it leaves no warning that nobody awaited it."""
    made = None
    try:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            made = make()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)  # what has come meanwhile interrupts here
        return asyncio.run(made)
    finally:
        if made is not None:
            made.close()


def mute_if_unheard() -> None:
    """Discard output once the terminal or pipe is gone, so that printing cannot prevent ending what runs."""
    try:
        print(flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
