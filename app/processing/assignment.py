"""One assignment of partitions: made when the group gives them to this worker, closed when it takes them away.

Its first step, if it has one, begins at once; nothing is taken before that is done. A micro-batch is everything that
waits when the worker becomes free. It passes through the steps one by one; under load
the next one may be in the first step while one is in the second, never out of order. What has come through is finished
together, at most once per interval, and its offsets are committed after that. A step that fails is retried without end
and holds its place. Nothing raises out of here, and nothing of it outlives the assignment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import TooManyDeadLetters, Transient, own_cancellation_only
from app.observability import metrics
from app.observability.timing import Running
from app.processing.back_pressure import Batch, Changes, WaitingBatches
from app.retry import pauses

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
#: Records that justify a micro-batch beside the one in progress; fewer wait until it ends, LINGER seconds at most: a
#: step may be held up. A micro-batch's fixed cost (a call, a produce request per partition) is many times that of a
#: record.
WORTH_A_MICRO_BATCH = 100
LINGER = 0.25
#: Seconds between two looks whether a held partition may go on.
LOOK_AGAIN = 0.2
#: A step is tried this many more times before its failure is an error in the log (exercise 8).
TRIES_BEFORE_ERROR = 10


@dataclass(slots=True)
class MicroBatch:
    """Batches that go through the steps together, and what the steps make of them."""

    batches: list[Batch]
    work: Any = None
    trace: Any = None  # see app.processing.traced

    @property
    def size(self) -> int:
        """Records."""
        return sum(len(batch.records) for batch in self.batches)


FirstStep = Callable[[], Awaitable[None]]
Step = Callable[[MicroBatch], Awaitable[None]]
LastStep = Callable[[Sequence[MicroBatch]], Awaitable[None]]
MarkProcessed = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Steps:
    """What is done in one assignment: `each` with every micro-batch, in order; `last` with all that came through them.

    `last_every`: seconds from one start of `last` to the next, at least. `first`, once, before all of them; it may be
    cancelled, and is begun anew in the next assignment. It may leave partitions in `held`: their batches wait, the
    others go on, and `look` is called again and again until none is left.
    """

    each: Sequence[Step]
    last: LastStep
    last_every: float = 0.0
    first: FirstStep | None = None
    held: Collection[int] = ()
    look: FirstStep | None = None


class PartitionsRevoked(Exception):
    """The new owner of the partitions begins at the committed offset."""


class Assignment:
    """Batches from `put` to `mark_processed`, while the partitions are ours."""

    def __init__(self, steps: Steps, mark_processed: MarkProcessed, *, most: int, pause_most: float):
        """`most` records per micro-batch, but for a larger batch; pauses grow to `pause_most` seconds."""
        self._steps = steps
        self._mark_processed = mark_processed
        self._most = most
        self._enough = min(WORTH_A_MICRO_BATCH, most)
        self._pause_most = pause_most
        self._changes = Changes()
        self._waiting = WaitingBatches(self._changes, most, steps.held)
        self.put = self._waiting.put
        self._next: list[MicroBatch | None] = [None] * len(steps.each)  # what waits for each step
        self._came_through: deque[MicroBatch] = deque()
        self._in_steps = 0  # micro-batches that have not come through
        self._at_work = 0  # steps, but for the last
        self._tasks: list[asyncio.Task[None]] = []
        self._beginning: asyncio.Task[None] | None = None
        self._has_begun = False
        self._takes_more = True
        self._revoked = asyncio.Event()
        self._ended = asyncio.Event()
        self.progress_count = 0
        for step in filter(None, (steps.first, steps.look, *steps.each, steps.last)):
            # From 0 on: a series that begins at 1 hides its first event.
            for metric in (metrics.STEP_BUSY, metrics.STEP_WAITING, metrics.RETRIES):
                metric.labels(step.__name__)

    @property
    def has_work(self) -> bool:
        """Whether a batch waits or is in a step."""
        return bool(self._waiting.under_way or self._waiting)

    async def run(self) -> None:
        """Drive micro-batches until the end of the assignment."""
        try:
            async with asyncio.TaskGroup() as tasks:
                jobs = [self._pass_through(index) for index in range(max(1, len(self._steps.each)))]
                self._tasks = [tasks.create_task(job) for job in (*jobs, self._finish())]
                self._beginning = tasks.create_task(self._begin())
        finally:
            self._ended.set()

    async def drain(self, within: float) -> None:
        """At a stop: take nothing more, finish what is under way, or leave it uncommitted after `within` seconds."""
        self._takes_more = False
        self._changes.notify()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._changes.until(lambda: not self._waiting.under_way)
        await self.close(0.1)

    async def close(self, within: float) -> None:
        """At a revocation: begin no step, finish what came through, wait for a step at work (`within` seconds)."""
        self._takes_more = False
        self._revoked.set()
        self._waiting.close()
        if not self._tasks or not self._beginning:
            return
        self._beginning.cancel()  # nothing depends on it yet
        try:
            await asyncio.wait_for(self._ended.wait(), within)
        except TimeoutError:
            log.warning("A step was still at work after %g s; its batch will be taken up again", within)
            # A publish that is cancelled in the air does no harm: the next owner's claim shuts it out.
            for task in (*self._tasks, self._beginning):
                task.cancel()
            await self._ended.wait()

    async def _begin(self) -> None:
        """The first step, as soon as the partitions are ours: who sends the first transaction need not wait for it."""
        if self._steps.first:
            with contextlib.suppress(PartitionsRevoked):
                await self.until_done(self._steps.first)
        self._has_begun = True
        self._changes.notify()
        with contextlib.suppress(PartitionsRevoked):
            while self._steps.held and self._steps.look and not self._revoked.is_set():
                await self.until_done(self._steps.look)
                self._changes.notify()
                await self.pause(LOOK_AGAIN)

    async def _pass_through(self, index: int) -> None:
        """Take what comes to the step of that number, do it, hand it on."""
        while micro_batch := await (self._taken(index) if index else self._collected()):
            self._at_work += 1
            with contextlib.suppress(PartitionsRevoked):
                if index < len(self._steps.each):  # there may be none but the last one
                    await self.until_done(self._steps.each[index], micro_batch)
                await self._hand_on(index + 1, micro_batch)
            self._at_work -= 1
            self._changes.notify()

    async def _collected(self) -> MicroBatch | None:
        """All that waits, once that is worth it; None when nothing more is to be taken."""
        await self._changes.until(
            lambda: (self._has_begun and self._waiting.may_be_taken()) or not self._takes_more
        )
        await self._linger()
        if not self._takes_more:
            return None
        micro_batch = MicroBatch(self._waiting.take())
        metrics.BATCH_RECORDS.labels(micro_batch.batches[0].topic).observe(micro_batch.size)
        self._in_steps += 1
        return micro_batch

    async def _linger(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                await self._changes.until(
                    lambda: (
                        not self._in_steps or not self._takes_more or self._waiting.records >= self._enough
                    )
                )

    async def _taken(self, index: int) -> MicroBatch | None:
        """What the step before has handed on; None once the partitions are revoked."""
        await self._changes.until(lambda: self._next[index] or self._revoked.is_set())
        micro_batch, self._next[index] = self._next[index], None
        self._changes.notify()
        return None if self._revoked.is_set() else micro_batch

    async def _hand_on(self, index: int, micro_batch: MicroBatch) -> None:
        """To the step of that number, when it is free to take it; behind the last one it has come through."""
        if index >= len(self._steps.each):
            self._in_steps -= 1
            self._came_through.append(micro_batch)
        else:
            await self._changes.until(lambda: self._next[index] is None or self._revoked.is_set())
            self._next[index] = micro_batch
        self._changes.notify()

    async def _finish(self) -> None:
        while True:
            await self._changes.until(lambda: self._came_through or self._is_over())
            if not self._came_through:
                return
            micro_batches, began = self._taken_together(), asyncio.get_running_loop().time()
            try:
                await self.until_done(self._steps.last, micro_batches)
            except PartitionsRevoked:
                return
            for micro_batch in micro_batches:
                for batch in micro_batch.batches:
                    self._mark_processed(batch.topic, batch.partition, batch.next_offset)
                    self._waiting.finished(batch)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(began + self._steps.last_every):
                    await self._changes.until(
                        lambda: (
                            not self._takes_more or sum(one.size for one in self._came_through) >= self._most
                        )
                    )

    def _taken_together(self) -> list[MicroBatch]:
        """As many records as a micro-batch may have, and no more: after an outage all would be too much for a call."""
        taken, size = list[MicroBatch](), 0
        while self._came_through and size < self._most:
            taken.append(self._came_through.popleft())
            size += taken[-1].size
        return taken

    def _is_over(self) -> bool:
        """Revoked, and no step is at work that could bring something through."""
        return self._revoked.is_set() and not self._at_work

    async def until_done(self, step: Callable[..., Awaitable[None]], *what: Any) -> None:
        """Try a step until it works; PartitionsRevoked."""
        tries, began, waits = 0, time.monotonic(), pauses(FIRST_PAUSE, self._pause_most)
        while True:
            try:
                await self.attempt(step, *what)
            except Exception as exc:  # a bug too must hold its place: raising would lose the batch
                tries += 1
                metrics.RETRIES.labels(step.__name__).inc()
                _report(step.__name__, tries, exc)
                with Running(metrics.STEP_WAITING.labels(step.__name__)):
                    await self.pause(next(waits))
                if self._revoked.is_set():
                    raise PartitionsRevoked from exc
            else:
                if tries:
                    took = time.monotonic() - began
                    log.info("%s works again after %.1f s and %d tries", step.__name__, took, tries)
                return

    async def attempt(self, step: Callable[..., Awaitable[None]], *what: Any) -> None:
        """Try a step once, measured."""
        began = time.monotonic()
        self.progress_count += 1
        try:
            with Running(metrics.STEP_BUSY.labels(step.__name__)), own_cancellation_only():
                await step(*what)
        finally:
            self.progress_count += 1
        metrics.STEP_SECONDS.labels(step.__name__).observe(time.monotonic() - began)

    async def pause(self, seconds: float) -> None:
        """Wait, but not longer than the partitions are ours."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._revoked.wait(), seconds)


def _report(name: str, tries: int, exc: Exception) -> None:
    if isinstance(exc, TooManyDeadLetters):
        return
    if not isinstance(exc, Transient):
        if tries == 1:
            log.error("%s raised an unexpected exception (a bug); batch held, retrying", name, exc_info=exc)
    elif tries == 1:
        log.warning("%s failed, nothing is lost, retrying until it works: %s", name, exc)
    elif tries == TRIES_BEFORE_ERROR + 1:
        log.error(
            "%s failed %d times more; is that part down? See `make ps`. Last: %s",
            name,
            TRIES_BEFORE_ERROR,
            exc,
        )
