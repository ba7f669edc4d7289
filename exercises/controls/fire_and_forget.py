"""A bff that answers 201 without waiting for Kafka's acknowledgement, as the old system's did."""

from __future__ import annotations

import asyncio
import contextlib

from app.bootstrap import create_app
from app.errors import LogUnavailable
from app.messaging.producer import EventProducer, Headers
from app.settings import Settings


class FireAndForget(EventProducer):
    """Sends in the background."""

    def __init__(self, settings: Settings):
        super().__init__(settings)
        self._sending: set[asyncio.Task[None]] = set()

    async def publish(
        self, topic: str, key: str, value: bytes, timeout: float, headers: Headers | None = None
    ) -> None:
        """Return at once."""
        task = asyncio.create_task(self._try(topic, key, value, timeout, headers))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _try(self, topic: str, key: str, value: bytes, timeout: float, headers: Headers | None) -> None:
        with contextlib.suppress(LogUnavailable):
            await super().publish(topic, key, value, timeout, headers)


app = create_app("bff", producer=FireAndForget)
