"""transaction_status in: what was decided goes to the read model in Redis."""

from __future__ import annotations

from typing import Any

import faust

from app import topics
from app.clients.redis import entries_of
from app.consumer import BatchSchema
from app.delivery import Delivery, Round, batch_of
from app.errors import Poison
from app.resources import Resources


def register(app: faust.App, resources: Resources) -> Delivery:
    """Put the agent on the app; gives the delivery that drives its batches."""

    async def remember(round_: Round) -> None:
        values = [record.value for batch in round_.batches for record in batch.records]
        statuses = await resources.status.decode(values)
        await resources.recent.remember(entries_of(s for s in statuses if not isinstance(s, Poison)))

    delivery = Delivery(
        [remember],
        lambda *done: app.consumer.finish(*done),
        most=resources.settings.batch_size,
        pause_most=resources.settings.retry_most,
    )

    @app.agent(app.topic(topics.STATUS, schema=BatchSchema()), name="statuses")
    async def statuses(stream: Any) -> None:
        """Remember every status of transaction_status in Redis."""
        async for event in stream.noack().events():
            await delivery.put(batch_of(event))

    return delivery
