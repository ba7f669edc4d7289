"""A topic's records over a span, decoded, with progress."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from app.commands.shared.console import Progress
from app.commands.shared.read_range import ReadRange
from app.commands.shared.topic_reader import TopicReader
from app.messaging import topics
from app.settings import Settings

CHUNK = 2000


async def decoded(settings: Settings, topic: str, span: ReadRange, out: Any) -> AsyncIterator[list[Any]]:
    """Chunk by chunk, each record a dict or the Poison it is; progress goes to `out`. LogUnavailable, KafkaError."""
    codec = await topics.reader(settings, topic)
    async with TopicReader(settings, topic) as reader:
        await reader.seek(span)
        progress = Progress(f"reading {topic}", reader.total, out)
        async for records in reader.chunks(CHUNK):
            yield await codec.decode([record.value for record in records])
            progress.add(len(records), reader.passed)
        progress.ended()
