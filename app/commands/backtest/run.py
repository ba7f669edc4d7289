"""Reads a span of the log, has each status decided anew and adds the labels; writes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from app.commands.backtest.decisions import Decisions
from app.commands.backtest.judges import Judge
from app.commands.shared.decoded import decoded
from app.commands.shared.read_range import WHOLE, ReadRange
from app.errors import Poison
from app.messaging import topics
from app.models.status import TransactionStatus
from app.settings import Settings

#: Statuses per call: 2 to 10 ms of a replica, for which a verdict may have to wait.
BATCH = 1000
#: Calls at once: two for each replica, so that neither waits for the log.
IN_FLIGHT = 4


async def decided_anew(settings: Settings, span: ReadRange, judge: Judge, out: Any) -> Decisions:
    """Every status of the span; what the judge raises, LogUnavailable, KafkaError. Progress goes to `out`."""
    found, free = Decisions(), asyncio.Semaphore(IN_FLIGHT)

    async def decide(batch: list[TransactionStatus]) -> None:
        try:
            found.add(batch, *await judge(batch))
        finally:
            free.release()

    try:
        async with asyncio.TaskGroup() as calls:
            async for batch in _batches(settings, span, found, out):
                await free.acquire()
                calls.create_task(decide(batch))
    except ExceptionGroup as several:
        raise several.exceptions[0] from None  # the others have failed for the same reason
    # Whole: a label may be older than the verdict, and says nothing of when that was.
    async for labels in decoded(settings, topics.LABEL, WHOLE, out):
        for label in labels:
            if isinstance(label, Poison):
                found.unreadable += 1
            else:
                found.add_label(label)
    return found


async def _batches(
    settings: Settings, span: ReadRange, found: Decisions, out: Any
) -> AsyncIterator[list[TransactionStatus]]:
    waiting: list[TransactionStatus] = []
    async for records in decoded(settings, topics.STATUS, span, out):
        for one in records:
            if isinstance(one, Poison):
                found.unreadable += 1
            elif one["status"] != "pending":
                waiting.append(one)
        while len(waiting) >= BATCH:
            yield waiting[:BATCH]
            del waiting[:BATCH]
    if waiting:
        yield waiting
