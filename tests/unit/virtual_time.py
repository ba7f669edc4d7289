"""An event loop whose clock jumps to the next thing that is due: minutes of waiting pass at once, and exactly."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")


class NeverWaits(selectors.DefaultSelector):
    """What the loop would wait is added to the time instead."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing will ever happen")
        self.passed += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Its time is what would have passed."""

    def __init__(self) -> None:
        self.clock = NeverWaits()
        super().__init__(self.clock)

    def time(self) -> float:
        return 1_000 + self.clock.passed


def run(main: Coroutine[Any, Any, T]) -> T:
    """asyncio.run in virtual time; time.monotonic follows it."""
    loop = VirtualTimeLoop()
    with mock.patch("time.monotonic", loop.time), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main)


def now() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time() - 1_000
