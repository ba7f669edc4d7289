"""What the long commands share: progress lines, tries, and an end in one sentence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aiokafka.errors import KafkaError, ProducerFenced

from app.errors import PipelineError, Transient

T = TypeVar("T")

#: Seconds between two lines.
EVERY = 2.0
TRIES = 10
PAUSE_MOST = 2.0


class Progress:
    """A line every two seconds: how many of how many, and how quickly."""

    def __init__(self, what: str, total: int):
        self._what, self._total, self._done = what, total, 0
        self._began = self._said = time.monotonic()

    def add(self, count: int) -> None:
        """So many more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._said >= EVERY:
            self._said = now
            rate = self._done / (now - self._began)
            print(f"{self._what}: {self._done:,} of {self._total:,}, {rate:,.0f} a second", flush=True)

    def ended(self) -> str:
        """The whole in a few words."""
        return f"{self._done:,} in {time.monotonic() - self._began:.1f} s"


async def tried(call: Callable[[], Awaitable[T]]) -> T:
    """The call's answer; a Transient failure is tried again, ten times more: a person waits for this command."""
    for attempt in range(TRIES):
        try:
            return await call()
        except Transient:
            await asyncio.sleep(min(PAUSE_MOST, 0.1 * 2**attempt))
    return await call()


@contextmanager
def ends_in_a_sentence(what: str) -> Iterator[None]:
    """A neighbour's failure ends the command with what to do about it; what was done stays done."""
    try:
        yield
    except ProducerFenced as exc:
        raise SystemExit(
            f"{what}: another one was started meanwhile and goes on in this one's place."
        ) from exc
    except (PipelineError, KafkaError, OSError) as exc:
        raise SystemExit(
            f"{what} did not get to its end: {exc}. See: make ps; then start it again: nothing is done twice."
        ) from exc
