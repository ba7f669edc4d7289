"""transaction_created in: batches go to the batch processor, which decides, publishes, stores and then commits."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import faust

from app.agents.send_schema import TransactionSchema
from app.assessment.fallback import AssessmentFallback
from app.messaging import topics
from app.observability import tracing
from app.observability.transaction_logger import TransactionLogger
from app.processing.assignment import Assignment, Steps
from app.processing.batch_processor import BatchProcessor, batch_of
from app.processing.customer_state import CustomerState
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.deduplication import DecidedIds
from app.processing.pipeline import Pipeline, Ports
from app.processing.traced import TracedPipeline
from app.resources import Resources

#: Seconds from one write of rows to the next, as from one commit of offsets to the next: a client's way ends with the
#: published status, so that many micro-batches may share a write.
STORE_EVERY = 0.25


def register(
    app: faust.App,
    resources: Resources,
    transaction_logger: TransactionLogger,
    ports: Ports,
    assignment: type[Assignment] = Assignment,
) -> BatchProcessor:
    """Put the agent on the app; returns the batch processor that drives its batches."""
    settings = resources.settings
    fallback = AssessmentFallback(
        ports.assess,
        transaction_logger,
        when_down=settings.antifraud_unavailable_policy,
        outage_timeout=settings.antifraud_retry_timeout,
    )
    limit = DeadLetterLimit(settings.max_dead_letters_in_a_row, settings.max_dead_letters_share)
    decided_ids, customers, known = DecidedIds(), dict[int, CustomerState](), set[int]()
    generation: int | None = None

    def steps_of(partitions: Collection[int]) -> Steps:
        nonlocal generation
        if generation is None or app.consumer_generation_id != generation + 1:
            known.clear()  # we were not in the one between, and others had the partitions
        generation = app.consumer_generation_id
        plain = Pipeline(
            ports,
            fallback,
            transaction_logger,
            limit,
            decided_ids,
            customers,
            partitions,
            lambda numbers: app.consumer.committed(topics.CREATED, numbers),
            known,
        )
        pipeline = TracedPipeline(plain, topics.STATUS) if tracing.enabled else plain
        app.consumer.holds.not_yet[topics.CREATED] = plain.held
        return Steps(
            [pipeline.decide, pipeline.publish],
            pipeline.store,
            STORE_EVERY,
            pipeline.claim,
            plain.held,
            pipeline.take_over,
        )

    processor = BatchProcessor(
        steps_of,
        lambda *done: app.consumer.mark_processed(*done),
        most=settings.batch_size,
        pause_most=settings.max_retry_pause,
        assignment=assignment,
        records_read=lambda: ports.records_read,
    )

    @app.agent(app.topic(topics.CREATED, schema=TransactionSchema(settings)), name="transactions")
    async def transactions(stream: Any) -> None:
        """Decide, publish and store every transaction of transaction_created."""
        async for event in stream.noack().events():
            await processor.put(batch_of(event), event.message.generation_id)

    return processor
