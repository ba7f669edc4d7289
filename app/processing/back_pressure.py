"""Back-pressure: how much of an assignment may wait or be under way; beyond it agents wait, and fetching stops."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

#: Batches that wait to be taken; then `put` waits.
WAITING_MOST = 64
#: How many full micro-batches may be under way, most of them waiting to be finished while a store is down.
UNDER_WAY_MOST = 4


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, as one fetch brought them; `next_offset` follows the last."""

    topic: str
    partition: int
    records: Sequence[Any]
    next_offset: int


class Changes:
    """Wakes whoever waits for something to become true."""

    def __init__(self) -> None:
        self._change = asyncio.Event()

    def notify(self) -> None:
        """Something has changed: look again."""
        self._change.set()
        self._change = asyncio.Event()

    async def until(self, is_so: Callable[[], Any]) -> None:
        """Wait until it is so."""
        while not is_so():
            await self._change.wait()


class WaitingBatches:
    """What agents have handed over and no micro-batch has taken, and how many records are under way since."""

    def __init__(self, changes: Changes, most: int, held: Collection[int] = ()):
        """`most`: records per micro-batch, but for a larger batch. Batches of `held` partitions are not taken yet."""
        self._changes = changes
        self._most = most
        self._held = held
        self._waiting: deque[Batch] = deque()
        self._is_open = True
        self.under_way = 0

    def __len__(self) -> int:
        return sum(1 for _ in self._free())

    def _free(self) -> Iterator[Batch]:
        return (batch for batch in self._waiting if batch.partition not in self._held)

    @property
    def records(self) -> int:
        """How many wait."""
        return sum(len(batch.records) for batch in self._free())

    async def put(self, batch: Batch) -> None:
        """Hand over a batch; waits while too many do."""
        await self._changes.until(lambda: len(self) < WAITING_MOST or not self._is_open)
        self._waiting.append(batch)
        self._changes.notify()

    def may_be_taken(self) -> bool:
        """Whether batches wait, and few enough records are under way."""
        return len(self) > 0 and self.under_way < UNDER_WAY_MOST * self._most

    def take(self) -> list[Batch]:
        """The batches of a micro-batch: under way from now on."""
        batches, left, size = list[Batch](), deque[Batch](), 0
        while self._waiting and size < self._most:
            batch = self._waiting.popleft()
            if batch.partition in self._held:
                left.append(batch)
                continue
            batches.append(batch)
            size += len(batch.records)
        self._waiting.extendleft(reversed(left))
        self.under_way += size
        self._changes.notify()
        return batches

    def finished(self, batch: Batch) -> None:
        """It is under way no longer."""
        self.under_way -= len(batch.records)
        self._changes.notify()

    def close(self) -> None:
        """Nobody takes any more: let go of whoever waits."""
        self._is_open = False
        self._changes.notify()
