"""A bff that answers 201 without waiting for Kafka's acknowledgement, as the old system's did."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from app.bootstrap import create_app
from app.errors import LogUnavailable
from app.messaging.producer import EventProducer

_publish = EventProducer.publish
_sending: set[asyncio.Task[None]] = set()


async def _tried(*arguments: Any) -> None:
    with contextlib.suppress(LogUnavailable):
        await _publish(*arguments)


async def _without_waiting(*arguments: Any) -> None:
    task = asyncio.create_task(_tried(*arguments))
    _sending.add(task)
    task.add_done_callback(_sending.discard)


EventProducer.publish = _without_waiting  # type: ignore[assignment,method-assign]
app = create_app("bff")
