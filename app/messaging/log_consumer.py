"""The consumer that reads the log; everything but Faust's own reads with it."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer


class LogConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka publishes no types
    """aiokafka's, except that it can be stopped while Kafka is dead.

    aiokafka 0.14, pinned, cancels its fetches at a stop and awaits each. One that pauses after a failure ends with
    CancelledError, which `stop` raises as if the caller were cancelled, and it leaves its connections open.
    """

    async def stop(self) -> None:
        """End the fetches, then disconnect."""
        if self._fetcher is not None and not self._closed:
            fetches = [self._fetcher._fetch_task, *self._fetcher._pending_tasks]
            for fetch in fetches:
                fetch.cancel()
            await asyncio.gather(*fetches, return_exceptions=True)
            self._fetcher._pending_tasks.clear()
        await super().stop()
