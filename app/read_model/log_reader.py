"""The newest transactions, read out of the log: what Redis is refilled with.

The list is in the order of sort keys (the minute of a transaction, then its id), the log in that of publication, and
nothing forces one to be like the other: other producers write late records, a re-assessment puts an old transaction at
the end of the log, partitions have unequal traffic. What joins them is that no transaction is published before its
own time: a worker refuses what is more than AHEAD_AT_MOST ahead. So each partition is read back until its records are
older than the oldest key that is kept, less that hour. All that is newer by key than this *floor* has been read then.
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
from app.models.status import key_of_row, sort_key
from app.models.transaction import AHEAD_AT_MOST, SECONDS_MAX, id_in_key, unstorable
from app.resources import Resources
from app.stores.recent_transactions import Entry, entry_of, pending_entry

#: Seconds that two machines' clocks may differ, and that a record may be under way into the log.
CLOCKS_APART = 60
#: Records that are decoded and written at a time: the other calls of the bff wait so long.
AT_ONCE = 500

T = TypeVar("T")
Write = Callable[[Sequence[Entry]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Newest:
    """What was read: how many transactions, and the floor: older ones exist. None: these are all that there are."""

    count: int
    floor: str | None


class NewestKeys:
    """The newest `most` of the sort keys that it is shown: all that is remembered of what was read."""

    def __init__(self, most: int):
        self._most = most
        self._heap: list[str] = []
        self._kept: set[str] = set()
        self.floor: str | None = None  # the oldest of `most` keys: nothing older belongs to them
        self.has_left_out = False

    def keeps(self, key: str) -> bool:
        """Whether it belongs to the newest so far; it is remembered then."""
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
        """Whether it is older than all of them, and there are enough."""
        is_older = self.floor is not None and key < self.floor
        self.has_left_out |= is_older
        return is_older

    def count_from(self, floor: str) -> int:
        """How many of them are not older than `floor`."""
        return sum(key >= floor for key in self._heap)


class LogReader:
    """The two topics, read back from their ends; every call may raise LogUnavailable.

    `write` is given entries as they are found, also some that turn out not to be among the newest.
    """

    def __init__(self, resources: Resources):
        self._resources = resources

    async def write_newest(self, write: Write) -> Newest:
        """The newest transactions, as many as Redis keeps: the highest revision of each, or pending."""
        newest = NewestKeys(self._resources.settings.recent_transactions)
        # The statuses last: what is published from the first look on is in the log by then.
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
        """What `write_pending` says; gives the partitions."""
        if not self._resources.is_open:
            raise LogUnavailable("the log has not been reached since the start")
        done = await consumer_groups.committed_offsets(self._resources.settings, topics.CREATED)

        async def take(records: Sequence[Any]) -> bool:
            for some in _from_the_end(records):
                found = await self._resources.created.decode([record.value for record in some])
                storable = [one for one in found if not isinstance(one, Poison) and not unstorable(one)]
                await write([pending_entry(one) for one in storable if newest.keeps(key_of_row(one))])
            # Other producers may give their records any key and any time: all of them are read.
            return False

        read_back = self._resources.tail.read_back
        await _all(read_back(topics.CREATED, partition, take, offset) for partition, offset in done.items())
        return list(done)

    async def _write_statuses(self, partition: int, newest: NewestKeys, write: Write) -> str | None:
        """Read a partition as far back as need be; None: it was read whole, else the floor that it leaves."""
        first = time.time()  # when the oldest record so far was published
        is_enough = False

        async def take(records: Sequence[Any]) -> bool:
            nonlocal first, is_enough
            for some in _from_the_end(records):
                values = [one.value for one in some if not newest.leaves_out(_highest_key(one.key))]
                found = await self._resources.status.decode(values)
                statuses = [status for status in found if not isinstance(status, Poison)]
                await write([entry_of(one) for one in statuses if newest.keeps(key_of_row(one))])
                await asyncio.sleep(
                    0
                )  # where nothing was decoded or written either, the bff serves in between
            if records:
                first = records[0].timestamp / 1000
                last = max(record.timestamp for record in records) / 1000
                is_enough = newest.floor is not None and _newest_minute(last) < _minute(newest.floor)
            return is_enough

        back = await self._resources.tail.read_back(topics.STATUS, partition, take)
        if back.whole:
            return None
        # Where the beginning of the log is gone, what was in it may have been as new as this.
        return "" if is_enough else f"{_newest_minute(first) + 1:010d}:"


def _from_the_end(records: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """In parts, the newest first: the floor rises quickly, and little is written in vain."""
    return (records[max(0, end - AT_ONCE) : end] for end in range(len(records), 0, -AT_ONCE))


def _highest_key(key: bytes | None) -> str:
    """The sort key of a status by its record's key, which is its id, without decoding it.

    An id of another form says nothing of the time: it may be the newest.
    """
    return sort_key(id_in_key(key), SECONDS_MAX)


def _newest_minute(published: float) -> int:
    """The latest minute under which a transaction can be filed that was published before this time."""
    return int(published + AHEAD_AT_MOST + CLOCKS_APART) // 60


def _minute(key: str) -> int:
    return int(key.partition(":")[0])


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; the first that fails ends the others, which would go on reading for nobody."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(call) for call in calls]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from failures
    return [task.result() for task in tasks]
