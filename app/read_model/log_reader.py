"""The newest transactions, read from the log: what Redis is refilled with (docs/decisions/0004).

The list is ordered by sort key (a transaction's minute, then its id), the log by publication. Other producers write
late records, a re-assessment puts an old transaction at the end of the log, partitions have unequal traffic. But no
transaction is published more than AHEAD_AT_MOST before its own time: a worker rejects it. So each partition is read
back until its records were published that long before the oldest key kept, the *floor*: by then every transaction
newer than the floor has been read.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import LogUnavailable, Poison
from app.messaging import consumer_groups, topics
from app.models.status import key_of_row, place_of, sort_key
from app.models.transaction import AHEAD_AT_MOST, SECONDS_MAX, id_in_key, unstorable
from app.resources import Resources
from app.stores.recent_transactions import Entry, entry_of, pending_entry

#: Seconds by which the clocks of two machines may differ, the time of a publish included.
CLOCKS_APART = 60
#: Records decoded and written at a time: the bff's other work waits for so long.
AT_ONCE = 500

T = TypeVar("T")
Write = Callable[[Sequence[Entry]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Newest:
    """How many transactions were read, and the floor below which others exist; None if these are all."""

    count: int
    floor: str | None


class NewestKeys:
    """The newest `most` of the sort keys read so far: all that a refill keeps in memory."""

    def __init__(self, most: int):
        self._most = most
        self._heap: list[str] = []
        self._kept: set[str] = set()
        self.floor: str | None = None  # the oldest key, once there are `most`
        self.has_left_out = False

    def keeps(self, key: str) -> bool:
        """Whether it is among the newest so far; then it is kept."""
        if key in self._kept:
            return True
        if self.leaves_out(key):
            return False
        if self.floor is None:
            heapq.heappush(self._heap, key)
        else:
            self._kept.discard(heapq.heapreplace(self._heap, key))
            self.has_left_out = True
        self._kept.add(key)
        if len(self._heap) == self._most:
            self.floor = self._heap[0]
        return True

    def leaves_out(self, key: str) -> bool:
        """Whether it is below the floor."""
        is_older = self.floor is not None and key < self.floor
        self.has_left_out |= is_older
        return is_older

    def count_from(self, floor: str) -> int:
        """How many of them are not older than `floor`."""
        return sum(key >= floor for key in self._heap)


class LogReader:
    """Both topics, read backward from their ends; every call may raise LogUnavailable.

    `write` gets entries as they are found, among them some that later prove not to be among the newest.
    """

    def __init__(self, resources: Resources):
        self._resources = resources
        self._asks = asyncio.Lock()
        self._decided_until = 0.0  # and it stays so

    async def is_decided(self, until: float) -> bool:
        """Whether all that was taken until then, in seconds since 1970, is decided and stored; LogUnavailable."""
        async with self._asks:
            if until > self._decided_until and await self._is_done(until):
                self._decided_until = until
        return until <= self._decided_until

    async def _is_done(self, until: float) -> bool:
        done = await consumer_groups.committed_offsets(self._resources.settings, topics.CREATED)
        first_from = self._resources.tail.first_from
        waiting = await _all(first_from(topics.CREATED, *place) for place in done.items())
        return all(one is None or one.timestamp / 1000 > until + CLOCKS_APART for one in waiting)

    async def write_newest(self, write: Write) -> Newest:
        """The newest transactions, as many as Redis keeps: the highest revision of each, or pending."""
        newest = NewestKeys(self._resources.settings.recent_transactions)
        # Statuses last: whatever is decided after the committed offsets were read is in the log by then.
        partitions = await self._write_pending(newest, write)
        floors = await _all(self._write_statuses(partition, newest, write) for partition in partitions)
        if not newest.has_left_out and all(floor is None for floor in floors):
            return Newest(newest.count_from(""), None)
        floor = max(key for key in (*floors, newest.floor) if key is not None)
        if not (count := newest.count_from(floor)):
            raise LogUnavailable(f"the beginning of {topics.STATUS} is gone, and too little is left")
        return Newest(count, floor)

    async def write_pending(self, write: Write) -> None:
        """Those of the newest that may not be decided, published and stored yet."""
        await self._write_pending(NewestKeys(self._resources.settings.recent_transactions), write)

    async def _write_pending(self, newest: NewestKeys, write: Write) -> list[int]:
        """As `write_pending`; gives the partitions."""
        if not self._resources.is_open:
            raise LogUnavailable("the log has not been reached since the start")
        done = await consumer_groups.committed_offsets(self._resources.settings, topics.CREATED)

        async def take(records: Sequence[Any]) -> bool:
            for some in _from_the_end(records):
                found = await self._resources.created.decode([record.value for record in some])
                storable = [one for one in found if not isinstance(one, Poison) and not unstorable(one)]
                await write([pending_entry(one) for one in storable if newest.keeps(key_of_row(one))])
            # Other producers may choose any key and timestamp, so none can be skipped.
            return False

        read_back = self._resources.tail.read_back
        await _all(read_back(topics.CREATED, partition, take, offset) for partition, offset in done.items())
        return list(done)

    async def _write_statuses(self, partition: int, newest: NewestKeys, write: Write) -> str | None:
        """Read a partition back as far as necessary; its own floor, None if it was read from its beginning."""
        first = time.time()  # when the oldest record read so far was published
        is_enough = False

        async def take(records: Sequence[Any]) -> bool:
            nonlocal first, is_enough
            for some in _from_the_end(records):
                values = [one.value for one in some if not newest.leaves_out(_highest_key(one.key))]
                found = await self._resources.status_without_history.decode(values)
                statuses = [status for status in found if not isinstance(status, Poison)]
                await write([entry_of(one) for one in statuses if newest.keeps(key_of_row(one))])
                await asyncio.sleep(0)  # let the bff serve, also if nothing was written
            if records:
                first = records[0].timestamp / 1000
                last = max(record.timestamp for record in records) / 1000
                is_enough = newest.floor is not None and _newest_minute(last) < place_of(newest.floor)[0]
            return is_enough

        back = await self._resources.tail.read_back(topics.STATUS, partition, take)
        if back.whole:
            return None
        # The beginning was deleted: records in it may have been as new as this.
        return "" if is_enough else f"{_newest_minute(first) + 1:010d}:"


def _from_the_end(records: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """In parts, the newest first: the floor rises quickly, and little is written that is removed again."""
    return (records[max(0, end - AT_ONCE) : end] for end in range(len(records), 0, -AT_ONCE))


def _highest_key(key: bytes | None) -> str:
    """The highest sort key that a status can have, by its record's key alone, which is its id.

    An id that is no UUIDv7 does not tell its time.
    """
    return sort_key(id_in_key(key), SECONDS_MAX)


def _newest_minute(published: float) -> int:
    """The newest minute that a transaction published before this time can have."""
    return int(published + AHEAD_AT_MOST + CLOCKS_APART) // 60


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All results; the first failure cancels the others, which would read on for nothing."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
