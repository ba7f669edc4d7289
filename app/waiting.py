"""What the log has and no worker has finished: pending. Redis alone shows it, and may have lost it, or never got it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from app import groups, topics
from app.errors import LogUnavailable, Poison
from app.models.transaction import Transaction, unstorable
from app.resources import Resources


async def waiting(resources: Resources) -> list[Transaction]:
    """Transactions that are not decided, told and stored for certain, at least the newest that Redis keeps.

    LogUnavailable.
    """
    if not resources.is_open:
        raise LogUnavailable("the log has not been reached since the start")
    done = await groups.done(resources.settings, topics.CREATED)
    found = await asyncio.gather(*(_of(resources, partition, offset) for partition, offset in done.items()))
    return [transaction for transactions in found for transaction in transactions]


async def _of(resources: Resources, partition: int, done: int) -> list[Transaction]:
    most = resources.settings.recent_transactions

    async def far_enough(records: Sequence[Any]) -> bool:
        return len(records) >= most or records[0].offset <= done

    records = await resources.tail.read_back(topics.CREATED, partition, far_enough)
    values = [record.value for record in records[-most:] if record.offset >= done]
    found = await resources.created.decode(values)
    return [one for one in found if not isinstance(one, Poison) and not unstorable(one)]
