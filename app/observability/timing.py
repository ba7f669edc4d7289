"""How long things take: a duration by outcome, and the share of time that something runs."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from types import TracebackType
from typing import Any

from prometheus_client import Counter, Histogram

_running: set[Running] = set()


class Timed:
    """Observes how long the block took, under `labels` and then its outcome: ok, or failed if it raises.

    A block that was cancelled says nothing of what it waited for.
    """

    __slots__ = ("_began", "_histogram", "_labels")

    def __init__(self, histogram: Histogram, *labels: str):
        self._histogram = histogram
        self._labels = labels

    def __enter__(self) -> None:
        self._began = time.monotonic()

    def __exit__(self, kind: type[BaseException] | None, _exc: object, _trace: TracebackType | None) -> None:
        if kind is None or not issubclass(kind, asyncio.CancelledError):
            child = _child(self._histogram, *self._labels, "failed" if kind else "ok")
            child.observe(time.monotonic() - self._began)


@cache
def _child(histogram: Histogram, *labels: str) -> Any:
    """Looked up once: `labels` takes a lock and makes texts at each call."""
    return histogram.labels(*labels)


class Running:
    """Adds to a counter the seconds that the block runs; `settle` adds those of blocks that have not ended."""

    def __init__(self, counter: Counter):
        self._counter = counter
        self._since = 0.0

    def __enter__(self) -> None:
        self._since = time.monotonic()
        _running.add(self)

    def __exit__(self, *_: object) -> None:
        _running.discard(self)
        self.settle()

    def settle(self) -> None:
        """Count the time until now."""
        now = time.monotonic()
        self._counter.inc(max(0.0, now - self._since))
        self._since = now


def settle() -> None:
    """Bring the counters up to date: a step that hangs for a minute is busy for a minute, not once it has ended."""
    for one in _running:
        one.settle()
