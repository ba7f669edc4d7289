"""transaction_created in: batches to delivery, which decides, tells, stores and then finishes their offsets."""

from __future__ import annotations

from typing import Any

import faust

from app.agents.send_schema import TransactionSchema
from app.messaging import topics
from app.observability.transaction_logger import Narrator
from app.processing.adapters import RealDoors
from app.processing.batch_processor import Delivery, batch_of
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.pipeline import Pipeline
from app.resources import Resources


def register(app: faust.App, resources: Resources, narrator: Narrator) -> Delivery:
    """Put the agent on the app; gives the delivery that drives its batches."""
    settings = resources.settings
    pipeline = Pipeline(
        RealDoors(resources),
        narrator,
        when_down=settings.when_antifraud_is_down,
        patience=settings.assess_patience,
        limit=DeadLetterLimit(settings.dead_letters_in_a_row, settings.dead_letters_share),
    )
    delivery = Delivery(
        [pipeline.decide, pipeline.tell, pipeline.store],
        lambda *done: app.consumer.finish(*done),
        most=settings.batch_size,
        pause_most=settings.retry_most,
    )

    @app.agent(app.topic(topics.CREATED, schema=TransactionSchema(settings)), name="transactions")
    async def transactions(stream: Any) -> None:
        """Decide, tell and store every transaction of transaction_created."""
        async for event in stream.noack().events():
            await delivery.put(batch_of(event))

    return delivery
