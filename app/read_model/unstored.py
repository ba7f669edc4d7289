"""What the log has and the stores may not have yet: a refill of Redis that asks Cassandra alone would miss it for good.

`unstored_statuses`: between publishing and storing a worker may die or wait for a dead store. The status agent has
passed on what was published then, so nothing would bring it back into a Redis that was emptied meanwhile. `undecided`:
pending transactions are shown by Redis alone, which may have lost them or never got them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from app.errors import LogUnavailable, Poison
from app.messaging import consumer_groups, topics
from app.models.status import FIRST_VERDICT, TransactionStatus
from app.models.transaction import Transaction, unstorable
from app.resources import Resources

T = TypeVar("T")

#: Statuses of a partition that are looked at: more than the micro-batches that can be between the two steps.
AT_MOST = 20_000


async def unstored_statuses(resources: Resources) -> list[TransactionStatus]:
    """Statuses back to the last ones that have their rows for certain, of all partitions; LogUnavailable."""
    return await _of_all(resources, _unstored)


async def undecided(resources: Resources) -> list[Transaction]:
    """Transactions not certainly decided, published and stored, at least the newest that Redis keeps.

    LogUnavailable.
    """
    return await _of_all(resources, _undecided)


async def _of_all(
    resources: Resources, of_one: Callable[[Resources, int, int], Awaitable[list[T]]]
) -> list[T]:
    """What `of_one` returns for each partition, given the offset up to which everything is done."""
    if not resources.is_open:
        raise LogUnavailable("the log has not been reached since the start")
    done = await consumer_groups.committed_offsets(resources.settings, topics.CREATED)
    found = await asyncio.gather(
        *(of_one(resources, partition, offset) for partition, offset in done.items())
    )
    return [one for some in found for one in some]


async def _unstored(resources: Resources, partition: int, done: int) -> list[TransactionStatus]:
    found: list[TransactionStatus] = []

    async def take(records: Sequence[Any]) -> bool:
        decoded = await resources.status.decode([record.value for record in records])
        found[:0] = statuses = [status for status in decoded if not isinstance(status, Poison)]
        return len(found) >= AT_MOST or any(
            status["revision"] == FIRST_VERDICT and status["source_offset"] < done for status in statuses
        )

    await resources.tail.read_back(topics.STATUS, partition, take)
    return found


async def _undecided(resources: Resources, partition: int, done: int) -> list[Transaction]:
    most = resources.settings.recent_transactions
    values: list[bytes | None] = []

    async def take(records: Sequence[Any]) -> bool:
        values[:0] = [record.value for record in records]
        return len(values) >= most

    await resources.tail.read_back(topics.CREATED, partition, take, since=done)
    found = await resources.created.decode(values[-most:])
    return [one for one in found if not isinstance(one, Poison) and not unstorable(one)]
