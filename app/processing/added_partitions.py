"""Partitions that were added while transactions came: each waits until the one that its customers come from is decided.

A customer's first transaction in an added partition comes after the last one in the old partition, which may be another
worker's: so that one has to be decided first, as far as it was written when all bffs had switched.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Protocol

log = logging.getLogger(__name__)

#: Seconds from an assignment of an added partition until all bffs send to it: they look every 0.2 s meanwhile.
SWITCHED_WITHIN = 2.0

#: Gives the offset of transaction_created at which its group goes on, by partition; may raise Transient.
Committed = Callable[[Collection[int]], Awaitable[Mapping[int, int]]]


class Created(Protocol):
    """What it needs to know of transaction_created; each call may raise Transient."""

    async def asked_to(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where these partitions end now."""

    async def is_undecided(self, partition: int, offset: int, end: int) -> bool:
        """Whether there is a record between these offsets."""


class AddedPartitions:
    """Of one assignment: those that wait."""

    def __init__(self, created: Created, committed: Committed, held: set[int]):
        """`held`: the partitions of which nothing is taken, while the others go on; those that wait are among them."""
        self._created = created
        self._committed = committed
        self._held = held
        self._waits_for: dict[
            int, tuple[float, Sequence[int]]
        ] = {}  # of these: since when, for which partitions
        self._asked_to: dict[int, int] = {}  # how far those have to be decided

    def hold(self, partition: int, waits_for: Sequence[int]) -> None:
        """Until these are decided."""
        self._waits_for[partition] = asyncio.get_running_loop().time(), waits_for
        self._held.add(partition)
        log.info("Partition %d was added: it waits until %s is decided", partition, list(waits_for))

    async def ready(self) -> list[int]:
        """Those that need not wait any longer."""
        now = asyncio.get_running_loop().time()
        waiting = {
            one: some for one, (since, some) in self._waits_for.items() if now - since >= SWITCHED_WITHIN
        }
        if missing := {one for some in waiting.values() for one in some} - self._asked_to.keys():
            self._asked_to |= await self._created.asked_to(missing)
        return [one for one, some in waiting.items() if await self._are_decided(some)]

    async def _are_decided(self, partitions: Collection[int]) -> bool:
        done = await self._committed(partitions)
        behind = [one for one in partitions if done[one] < self._asked_to[one]]
        # Behind the last record there may be marks of transactions, which have offsets and are never committed.
        return not any(
            [await self._created.is_undecided(one, done[one], self._asked_to[one]) for one in behind]
        )

    def release(self, partition: int) -> None:
        """It goes on."""
        _, waited_for = self._waits_for.pop(partition)
        self._held.discard(partition)
        log.info("Partition %d goes on: %s is decided", partition, list(waited_for))
