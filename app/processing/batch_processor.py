"""How batches survive: collected when the worker is free, retried in place, committed in order.

A micro-batch is everything that waits when the worker becomes free. It passes through the steps one by one; under load
the next one may be in the first step while one is in the second, never out of order. A step that fails is retried
without end and holds its place; an offset is committed after the last step only. Nothing raises out of here.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from app.errors import TooManyDeadLetters, Transient
from app.observability import metrics

log = logging.getLogger(__name__)

FIRST_PAUSE = 0.05
#: Records that justify a micro-batch beside the one in progress; fewer wait until it ends, LINGER seconds at most: a
#: step may be held up. A micro-batch's fixed cost (a call, a Kafka transaction and a write per partition) is many
#: times that of a record.
WORTH_A_MICRO_BATCH = 100
LINGER = 0.25
#: The generation while no partition is assigned.
UNASSIGNED = -1
#: A step is tried this many more times before its failure is an error in the log (exercise 8).
TRIES_BEFORE_ERROR = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, as one fetch brought them; `next_offset` follows the last.

    `generation` is the group's: a batch of an older one is not ours any more.
    """

    topic: str
    partition: int
    records: Sequence[Any]
    next_offset: int
    generation: int


@dataclass(slots=True)
class MicroBatch:
    """Batches that go through the steps together, and what the steps make of them."""

    batches: list[Batch]
    generation: int
    # Partitions assigned since the last micro-batch: with the first of a generation, all that are ours.
    newly_assigned: frozenset[tuple[str, int]] = frozenset()
    work: Any = None


Step = Callable[[MicroBatch], Awaitable[None]]
MarkProcessed = Callable[[str, int, int], None]


class PartitionsRevoked(Exception):
    """The micro-batch's partitions were revoked: their new owner begins at the committed offset."""


class BatchProcessor:
    """Takes batches from an agent, drives them through the steps, marks their offsets as processed."""

    def __init__(self, steps: Sequence[Step], mark_processed: MarkProcessed, *, most: int, pause_most: float):
        """`steps` may be repeated; `most` records per micro-batch; pauses grow to `pause_most` seconds."""
        self._steps = list(steps)
        self._mark_processed = mark_processed
        self._most = most
        self._pause_most = pause_most
        self._waiting: asyncio.Queue[Batch] = asyncio.Queue(maxsize=64)
        self._records_waiting = 0
        self._news = asyncio.Event()  # a batch came, or a micro-batch ended
        self._between: list[asyncio.Queue[MicroBatch]] = [asyncio.Queue(maxsize=1) for _ in self._steps[1:]]
        self._generation = UNASSIGNED
        self._revoked = asyncio.Event()
        self._assigned: frozenset[tuple[str, int]] = frozenset()
        self._seen: set[tuple[str, int]] = set()
        self._busy = 0
        self._progress_count = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._draining = False

    @property
    def progress_count(self) -> int:
        """Grows whenever a step begins, ends or fails: while there is work, a live worker makes progress."""
        return self._progress_count

    @property
    def has_work(self) -> bool:
        """Whether a batch waits or is in a step."""
        return self._busy > 0 or not self._waiting.empty()

    async def put(self, batch: Batch) -> None:
        """Hand over a batch; waits while too many do."""
        await self._waiting.put(batch)
        self._records_waiting += len(batch.records)
        self._news.set()

    def assign(self, generation: int, partitions: Iterable[tuple[str, int]] = ()) -> None:
        """These partitions were assigned in this generation of the group: take its batches, and no others."""
        self._seen.clear()
        self._assigned = frozenset(partitions)
        self._revoked.clear()
        self._generation = generation

    async def run(self) -> None:
        """Drive micro-batches until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._take_micro_batches())
            for index in range(1, len(self._steps)):
                tasks.create_task(self._pass_on(index))

    async def revoke(self, within: float) -> None:
        """Partitions are revoked: drop what waits or is retried, let a running step end (`within` seconds)."""
        self._generation = UNASSIGNED
        self._revoked.set()
        await self._until_idle(within)

    async def drain(self, within: float) -> None:
        """At a stop: finish what is in a step, or leave it uncommitted after `within` seconds; take nothing more."""
        self._draining = True
        await self._until_idle(within)
        await self.revoke(0.1)

    async def _until_idle(self, within: float) -> None:
        try:
            await asyncio.wait_for(self._idle.wait(), within)
        except TimeoutError:
            log.warning("A step was still at work after %g s; its batch will be taken up again", within)

    async def _take_micro_batches(self) -> None:
        while True:
            await self._linger()
            batches, size = list[Batch](), 0
            while size < self._most and not self._waiting.empty():
                batches.append(self._waiting.get_nowait())
                size += len(batches[-1].records)
            self._records_waiting -= size
            ours = [batch for batch in batches if batch.generation == self._generation]
            if ours and not self._draining:
                micro_batch = self._micro_batch(ours)
                if micro_batch.newly_assigned:
                    # What a step from before the rebalance still publishes must be in the log before the log is read.
                    await self._idle.wait()
                self._enter()
                metrics.BATCH_RECORDS.labels(ours[0].topic).observe(sum(len(b.records) for b in ours))
                await self._step(0, micro_batch)

    async def _linger(self) -> None:
        enough = min(WORTH_A_MICRO_BATCH, self._most)
        while self._waiting.empty():
            await self._some_news()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER):
                while self._busy and self._records_waiting < enough:
                    await self._some_news()

    async def _some_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _micro_batch(self, batches: list[Batch]) -> MicroBatch:
        partitions = {(batch.topic, batch.partition) for batch in batches}
        new = (self._assigned | partitions) - self._seen
        self._seen |= new
        return MicroBatch(batches, self._generation, new)

    async def _pass_on(self, index: int) -> None:
        while True:
            await self._step(index, await self._between[index - 1].get())

    async def _step(self, index: int, micro_batch: MicroBatch) -> None:
        try:
            await self._until_done(self._steps[index], micro_batch)
        except PartitionsRevoked:
            self._leave()
            return
        if index < len(self._between):
            await self._between[index].put(micro_batch)
            return
        for batch in micro_batch.batches:
            self._mark_processed(batch.topic, batch.partition, batch.next_offset)
        self._leave()

    def _enter(self) -> None:
        self._busy += 1
        self._idle.clear()

    def _leave(self) -> None:
        self._busy -= 1
        self._news.set()
        if not self._busy:
            self._idle.set()

    async def _until_done(self, step: Step, micro_batch: MicroBatch) -> None:
        tries, began = 0, time.monotonic()
        while True:
            if micro_batch.generation != self._generation:
                raise PartitionsRevoked
            try:
                await self._tried(step, micro_batch)
            except Exception as exc:  # noqa: BLE001  # a bug too must hold its place: raising would lose the batch
                tries += 1
                metrics.RETRIES.labels(step.__name__).inc()
                _report(step, tries, exc)
                await self._pause(tries)
                continue
            if tries:
                took = time.monotonic() - began
                log.info("%s works again after %.1f s and %d tries", step.__name__, took, tries)
            return

    async def _tried(self, step: Step, micro_batch: MicroBatch) -> None:
        began = time.monotonic()
        self._progress_count += 1
        try:
            await step(micro_batch)
        finally:
            self._progress_count += 1
        metrics.STEP_SECONDS.labels(step.__name__).observe(time.monotonic() - began)

    async def _pause(self, tries: int) -> None:
        pause = min(self._pause_most, FIRST_PAUSE * 2 ** min(tries - 1, 20)) * random.uniform(0.5, 1.0)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._revoked.wait(), pause)


def _report(step: Step, tries: int, exc: Exception) -> None:
    name = step.__name__
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


def batch_of(event: Any) -> Batch:
    """The batch that a Faust event of app.messaging.consumer carries."""
    message = event.message
    return Batch(message.topic, message.partition, event.value, message.offset + 1, message.generation_id)
