"""Between an agent and the steps: batches go to the assignment they were fetched in, or nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from app.processing.assignment import Assignment, MarkProcessed, Steps
from app.processing.back_pressure import Batch


class BatchProcessor:
    """Takes batches from an agent; what is done with them, and all it has in memory, begins anew per assignment."""

    def __init__(
        self,
        steps_of: Callable[[Collection[int]], Steps],
        mark_processed: MarkProcessed,
        *,
        most: int,
        pause_most: float,
        assignment: type[Assignment] = Assignment,
        records_read: Callable[[], int] = lambda: 0,
    ):
        """`steps_of` gives the steps for an assignment of these partitions; for the rest see `Assignment`.

        `records_read`: how many records a step has read of the log so far, where it may read for minutes.
        """
        self._records_read = records_read
        self._steps_of = steps_of
        self._mark_processed = mark_processed
        self._most, self._pause_most = most, pause_most
        self._new_assignment = assignment
        self._assignment: Assignment | None = None
        self._generation: int | None = None
        self._is_assigned = asyncio.Event()
        self._progress_before = 0

    @property
    def progress_count(self) -> int:
        """Grows whenever a step begins, ends, fails or reads: while there is work, a live worker makes progress."""
        now = self._assignment.progress_count if self._assignment else 0
        return self._progress_before + now + self._records_read()

    @property
    def has_work(self) -> bool:
        """Whether a batch waits or is in a step."""
        return self._assignment is not None and self._assignment.has_work

    async def put(self, batch: Batch, generation: int) -> None:
        """Hand over a batch; waits while too many do. One of another generation is its new owner's, and dropped."""
        await self._is_assigned.wait()
        if self._assignment and generation == self._generation:
            await self._assignment.put(batch)

    def assign(self, generation: int, partitions: Collection[int]) -> None:
        """These partitions are ours in this generation of the group."""
        steps = self._steps_of(partitions)
        self._assignment = self._new_assignment(
            steps, self._mark_processed, most=self._most, pause_most=self._pause_most
        )
        self._generation = generation
        self._is_assigned.set()

    async def run(self) -> None:
        """Drive one assignment after the other until cancelled."""
        while True:
            await self._is_assigned.wait()
            if self._assignment:
                await self._assignment.run()

    async def revoke(self, within: float) -> None:
        """The partitions go to other workers: see `Assignment.close`."""
        if assignment := self._ended():
            await assignment.close(within)

    async def drain(self, within: float) -> None:
        """The worker stops: see `Assignment.drain`."""
        if assignment := self._ended():
            await assignment.drain(within)

    def _ended(self) -> Assignment | None:
        assignment, self._assignment = self._assignment, None
        self._is_assigned.clear()
        if assignment:
            self._progress_before += assignment.progress_count + 1
        return assignment


def batch_of(event: Any) -> Batch:
    """The batch that a Faust event of app.messaging.consumer carries."""
    message = event.message
    return Batch(message.topic, message.partition, event.value, message.offset + 1)
