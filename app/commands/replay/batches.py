"""transaction_status in chunks that a store takes at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from app.commands.shared.topic_reader import TopicReader
from app.errors import Poison
from app.messaging import topics
from app.messaging.dead_letters import place_of
from app.models.status import TransactionStatus
from app.settings import Settings

#: Records at a time: as many as the worker decides at a time, so a chunk falls into few Cassandra partitions.
BATCH_SIZE = 2000


class ReplayBatch(NamedTuple):
    """The newest status of each transaction in some records, and where each partition goes on after them.

    `unreadable`: the other records, each with its place and the reason.
    """

    rows: list[TransactionStatus]
    records: int
    unreadable: list[str]
    next_offsets: dict[int, int]
    passed: int


async def chunks(settings: Settings, reader: TopicReader, rate: float | None) -> AsyncIterator[ReplayBatch]:
    """The span's chunks, at the rate that is allowed."""
    codec = await topics.reader(settings, topics.STATUS)
    most = BATCH_SIZE if rate is None else max(1, min(BATCH_SIZE, int(rate / 4)))
    began, records_read = time.monotonic(), 0
    async for records in reader.chunks(most):
        passed = reader.passed + len(records)
        decoded = await codec.decode([record.value for record in records])
        rows = [status for status in decoded if not isinstance(status, Poison)]
        unreadable = [
            f"{place_of((one.topic, one.partition, one.offset))}: {reason}"
            for one, reason in zip(records, decoded, strict=True)
            if isinstance(reason, Poison)
        ]
        yield ReplayBatch(newest(rows), len(records), unreadable, _after(records), passed)
        records_read += len(records)
        if rate is not None:
            await asyncio.sleep(began + records_read / rate - time.monotonic())


def newest(statuses: Iterable[TransactionStatus]) -> list[TransactionStatus]:
    """Of each transaction the highest revision alone."""
    found: dict[str, TransactionStatus] = {}
    for status in statuses:
        held = found.get(status["transaction_id"])
        if held is None or held["revision"] < status["revision"]:
            found[status["transaction_id"]] = status
    return list(found.values())


def _after(records: Sequence[Any]) -> dict[int, int]:
    return {record.partition: record.offset + 1 for record in records}
