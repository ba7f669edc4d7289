"""What was told and may have no row yet: a refill of Redis that asks Cassandra alone would miss it for good.

Between telling and storing a worker may die or wait for a dead store. The status agent has passed on what was told
then, so nothing would bring it once more into a Redis that has been emptied meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from app import groups, topics
from app.errors import LogUnavailable, Poison
from app.models.status import FIRST_VERDICT, TransactionStatus
from app.resources import Resources

#: Statuses of a partition that are looked at: more than the rounds that can be between the two steps.
AT_MOST = 20_000


async def told_lately(resources: Resources) -> list[TransactionStatus]:
    """Statuses back to the last ones that have their rows for certain, of all partitions; LogUnavailable."""
    if not resources.is_open:
        raise LogUnavailable("the log has not been reached since the start")
    done = await groups.done(resources.settings, topics.CREATED)
    found = await asyncio.gather(*(_of(resources, partition, offset) for partition, offset in done.items()))
    return [status for statuses in found for status in statuses]


async def _of(resources: Resources, partition: int, done: int) -> list[TransactionStatus]:
    async def statuses(records: Sequence[Any]) -> list[TransactionStatus]:
        decoded = await resources.status.decode([record.value for record in records])
        return [status for status in decoded if not isinstance(status, Poison)]

    async def far_enough(records: Sequence[Any]) -> bool:
        return len(records) >= AT_MOST or any(
            status["revision"] == FIRST_VERDICT and status["source_offset"] < done
            for status in await statuses(records)
        )

    return await statuses(await resources.tail.read_back(topics.STATUS, partition, far_enough))
