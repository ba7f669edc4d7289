"""transaction_status in: what was decided goes to the read model in Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import faust

from app.errors import Poison
from app.messaging import topics
from app.messaging.consumer import BatchSchema
from app.models.status import TransactionStatus
from app.observability import metrics, tracing
from app.observability.private_logs import Quoting
from app.processing.assignment import MicroBatch, Steps
from app.processing.batch_processor import BatchProcessor, batch_of
from app.processing.traced import traced_last
from app.resources import Resources
from app.stores.recent_transactions import entries_of

log = logging.getLogger(__name__)


def _report(unreadable: Sequence[tuple[Any, str]]) -> None:
    """Once for each record: every record of the topic comes by here, and after an outage of Redis only once."""
    metrics.UNREADABLE_STATUSES.inc(len(unreadable))
    for record, reason in unreadable:
        log.error(
            "%s[%d]@%d is no status and was passed over; only our workers may write there: %s",
            record.topic, record.partition, record.offset, Quoting(reason),
        )  # fmt: skip


def register(
    app: faust.App, resources: Resources, note: Callable[[Iterable[TransactionStatus]], None] = lambda _: None
) -> BatchProcessor:
    """Put the agent on the app; returns the batch processor that drives its batches. `note` gets what was shown."""

    async def remember(micro_batches: Sequence[MicroBatch]) -> None:
        records = [record for one in micro_batches for batch in one.batches for record in batch.records]
        found = await resources.status_without_history.decode([record.value for record in records])
        readable = [s for s in found if not isinstance(s, Poison)]
        await resources.recent.remember(entries_of(readable))
        note(readable)
        _report([(r, str(s)) for r, s in zip(records, found, strict=True) if isinstance(s, Poison)])

    processor = BatchProcessor(
        lambda _: Steps([], traced_last(remember) if tracing.enabled else remember),
        lambda *done: app.consumer.mark_processed(*done),
        most=resources.settings.batch_size,
        pause_most=resources.settings.max_retry_pause,
    )

    @app.agent(app.topic(topics.STATUS, schema=BatchSchema()), name="statuses")
    async def statuses(stream: Any) -> None:
        """Remember every status of transaction_status in Redis."""
        async for event in stream.noack().events():
            await processor.put(batch_of(event), event.message.generation_id)

    return processor
