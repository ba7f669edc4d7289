"""How batches survive: taken when the worker is free, retried in place, finished in order.

A round is everything that waits when the first step becomes free. It goes through the steps one after another; while
one round is in its second step the next one may be in its first, never out of order. A step that fails is tried again,
without end, and holds its place; an offset is finished after the last step only. Nothing raises out of here.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.errors import Transient

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
#: A step is tried this many more times before its failure is an error in the log (exercise 8).
TRIES_BEFORE_ERROR = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, as one fetch brought them; `next_offset` follows the last."""

    topic: str
    partition: int
    records: Sequence[Any]
    next_offset: int


@dataclass(slots=True)
class Round:
    """Batches that go through the steps together, and what the steps make of them."""

    batches: list[Batch]
    generation: int
    taken_at: float
    work: Any = None
    first_of: frozenset[tuple[str, int]] = field(default_factory=frozenset)


Step = Callable[[Round], Awaitable[None]]
Finish = Callable[[str, int, int], None]


class Abandoned(Exception):
    """The round's partitions have been taken away: whoever has them now begins at the committed offset."""


class Delivery:
    """Takes batches from an agent, drives them through steps, finishes their offsets."""

    def __init__(self, steps: Sequence[Step], finish: Finish, *, most: int, pause_most: float):
        """`steps` may be repeated on the same round; `most` records a round; pauses grow to `pause_most` seconds."""
        self._steps = list(steps)
        self._finish = finish
        self._most = most
        self._pause_most = pause_most
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue(maxsize=64)
        self._between: list[asyncio.Queue[Round]] = [asyncio.Queue(maxsize=1) for _ in self._steps[1:]]
        self._generation = 0
        self._seen: set[tuple[str, int]] = set()
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = False

    async def put(self, batch: Batch) -> None:
        """Hand over a batch; waits while too many do."""
        await self._waiting.put(batch)

    async def run(self) -> None:
        """Drive the rounds until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_rounds())
            for index in range(1, len(self._steps)):
                tasks.create_task(self._pass_on(index))

    async def abandon(self, within: float) -> None:
        """Drop what waits, let what is in a step end it (`within` seconds), forget whose partitions these were."""
        self._generation += 1
        self._seen.clear()
        while not self._waiting.empty():
            self._waiting.get_nowait()
        try:
            await asyncio.wait_for(self._idle.wait(), within)
        except asyncio.TimeoutError:
            log.warning("A step was still at work %g s after its partitions were taken away", within)

    async def drain(self, within: float) -> None:
        """Take nothing more, finish what is in flight, or leave it uncommitted after `within` seconds."""
        self._stopping = True
        while not self._waiting.empty():
            self._waiting.get_nowait()
        try:
            await asyncio.wait_for(self._idle.wait(), within)
        except asyncio.TimeoutError:
            log.warning("Work in flight did not end within %g s; it is taken up again after the start", within)
        self._generation += 1

    async def _take_rounds(self) -> None:
        while True:
            batches = [await self._waiting.get()]
            size = len(batches[0].records)
            while size < self._most and not self._waiting.empty():
                batches.append(self._waiting.get_nowait())
                size += len(batches[-1].records)
            if not self._stopping:
                self._enter()
                await self._step(0, self._round(batches))

    def _round(self, batches: list[Batch]) -> Round:
        partitions = {(batch.topic, batch.partition) for batch in batches}
        new = frozenset(partitions - self._seen)
        self._seen |= new
        return Round(batches, self._generation, time.monotonic(), first_of=new)

    async def _pass_on(self, index: int) -> None:
        while True:
            await self._step(index, await self._between[index - 1].get())

    async def _step(self, index: int, round_: Round) -> None:
        try:
            await self._until_done(self._steps[index], round_)
        except Abandoned:
            self._leave()
            return
        if index < len(self._between):
            await self._between[index].put(round_)
            return
        for batch in round_.batches:
            self._finish(batch.topic, batch.partition, batch.next_offset)
        self._leave()

    def _enter(self) -> None:
        self._busy += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._busy -= 1
        if not self._busy:
            self._idle.set()

    async def _until_done(self, step: Step, round_: Round) -> None:
        tries, began = 0, time.monotonic()
        while True:
            if round_.generation != self._generation:
                raise Abandoned
            try:
                await step(round_)
            except Exception as exc:  # a bug too must hold the place: an exception out of an agent loses the batch
                tries += 1
                _report(step, tries, exc)
                await self._pause(tries, round_)
                continue
            if tries:
                log.info("%s works again after %.1f s and %d tries", step.__name__, time.monotonic() - began, tries)
            return

    async def _pause(self, tries: int, round_: Round) -> None:
        pause = min(self._pause_most, FIRST_PAUSE * 2 ** min(tries - 1, 20)) * random.uniform(0.5, 1.0)
        until = time.monotonic() + pause
        while (left := until - time.monotonic()) > 0 and round_.generation == self._generation:
            await asyncio.sleep(min(left, 0.25))


def _report(step: Step, tries: int, exc: Exception) -> None:
    name = step.__name__
    if not isinstance(exc, Transient):
        if tries == 1:
            log.error("%s failed by a fault of ours; the batch is held and tried again", name, exc_info=exc)
    elif tries == 1:
        log.warning("%s failed, nothing is lost, tried again until it works: %s", name, exc)
    elif tries == TRIES_BEFORE_ERROR + 1:
        log.error("%s failed %d times more; is that part down? See `make ps`. Last: %s", name, TRIES_BEFORE_ERROR, exc)


def batch_of(event: Any) -> Batch:
    """The batch that a Faust event of app.consumer carries."""
    message = event.message
    return Batch(message.topic, message.partition, event.value, message.offset + 1)
