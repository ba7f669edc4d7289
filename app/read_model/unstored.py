"""What the log has and the stores may not have yet: a refill of Redis that asks Cassandra alone would miss it for good.

`told_lately`: between telling and storing a worker may die or wait for a dead store. The status agent has passed on
what was told then, so nothing would bring it once more into a Redis that has been emptied meanwhile. `waiting`: pending
ones are shown by Redis alone, which may have lost them, or never got them.
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

#: Statuses of a partition that are looked at: more than the rounds that can be between the two steps.
AT_MOST = 20_000


async def told_lately(resources: Resources) -> list[TransactionStatus]:
    """Statuses back to the last ones that have their rows for certain, of all partitions; LogUnavailable."""
    return await _of_all(resources, _told)


async def waiting(resources: Resources) -> list[Transaction]:
    """Transactions that are not decided, told and stored for certain, at least the newest that Redis keeps.

    LogUnavailable.
    """
    return await _of_all(resources, _waiting)


async def _of_all(
    resources: Resources, of_one: Callable[[Resources, int, int], Awaitable[list[T]]]
) -> list[T]:
    """What `of_one` gives of each partition, told where everything is done up to."""
    if not resources.is_open:
        raise LogUnavailable("the log has not been reached since the start")
    done = await consumer_groups.done(resources.settings, topics.CREATED)
    found = await asyncio.gather(
        *(of_one(resources, partition, offset) for partition, offset in done.items())
    )
    return [one for some in found for one in some]


async def _told(resources: Resources, partition: int, done: int) -> list[TransactionStatus]:
    found: list[TransactionStatus] = []

    async def take(records: Sequence[Any]) -> bool:
        decoded = await resources.status.decode([record.value for record in records])
        found[:0] = statuses = [status for status in decoded if not isinstance(status, Poison)]
        return len(found) >= AT_MOST or any(
            status["revision"] == FIRST_VERDICT and status["source_offset"] < done for status in statuses
        )

    await resources.tail.read_back(topics.STATUS, partition, take)
    return found


async def _waiting(resources: Resources, partition: int, done: int) -> list[Transaction]:
    most = resources.settings.recent_transactions
    values: list[bytes | None] = []

    async def take(records: Sequence[Any]) -> bool:
        values[:0] = [record.value for record in records]
        return len(values) >= most

    await resources.tail.read_back(topics.CREATED, partition, take, since=done)
    found = await resources.created.decode(values[-most:])
    return [one for one in found if not isinstance(one, Poison) and not unstorable(one)]
