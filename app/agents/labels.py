"""transaction_label in: what was said of a transaction afterwards goes into the table of labels."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import faust

from app.errors import Poison
from app.messaging import topics
from app.messaging.consumer import BatchSchema
from app.models.label import LABELS, StoredLabel, newest_labels, unstorable_label
from app.observability import metrics, tracing
from app.observability.private_logs import Quoting
from app.processing.assignment import MicroBatch, Steps
from app.processing.batch_processor import BatchProcessor, batch_of
from app.processing.traced import traced_last
from app.resources import Resources

log = logging.getLogger(__name__)

UNREADABLE = "unreadable"


def register(app: faust.App, resources: Resources) -> BatchProcessor:
    """Put the agent on the app; returns the batch processor that drives its batches."""
    for word in (*LABELS, UNREADABLE):
        metrics.LABELS.labels(word)  # counted from 0 on

    async def store_labels(micro_batches: Sequence[MicroBatch]) -> None:
        records = [record for one in micro_batches for batch in one.batches for record in batch.records]
        found = [_checked(one) for one in await resources.label.decode([record.value for record in records])]
        labels = [label for label in found if not isinstance(label, Poison)]
        await resources.labels.store(list(newest_labels(labels).values()))
        _count(labels)
        _report([(r, str(one)) for r, one in zip(records, found, strict=True) if isinstance(one, Poison)])

    processor = BatchProcessor(
        lambda _: Steps([], traced_last(store_labels) if tracing.enabled else store_labels),
        lambda *done: app.consumer.mark_processed(*done),
        most=resources.settings.batch_size,
        pause_most=resources.settings.max_retry_pause,
    )

    @app.agent(app.topic(topics.LABEL, schema=BatchSchema()), name="labels")
    async def labels(stream: Any) -> None:
        """Store every label of transaction_label in Cassandra."""
        async for event in stream.noack().events():
            await processor.put(batch_of(event), event.message.generation_id)

    return processor


def _checked(label: StoredLabel | Poison) -> StoredLabel | Poison:
    reason = None if isinstance(label, Poison) else unstorable_label(label, time.time())
    return Poison(reason) if reason else label


def _count(labels: Sequence[StoredLabel]) -> None:
    for label in labels:
        metrics.LABELS.labels(label["label"]).inc()


def _report(unreadable: Sequence[tuple[Any, str]]) -> None:
    metrics.LABELS.labels(UNREADABLE).inc(len(unreadable))
    for record, reason in unreadable:
        log.error(
            "%s[%d]@%d is no label and was passed over; only bffs may write there: %s",
            record.topic, record.partition, record.offset, Quoting(reason),
        )  # fmt: skip
