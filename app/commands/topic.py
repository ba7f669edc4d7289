"""`faust -A app.main topic NAME`: a topic's records, decoded, as JSON lines, newest last."""

from __future__ import annotations

import json
from typing import Any

import faust
from aiokafka.errors import KafkaError
from faust.cli import argument, option

from app.commands.shared.console import reason
from app.commands.shared.topic_reader import by_time
from app.errors import LogUnavailable, Poison
from app.messaging import topics
from app.messaging.codec import Codec
from app.settings import Settings

#: Which schema a topic's records have; a dead letter has whatever its bytes are, shown as text.
SCHEMA_OF = {topic: topic for topic in topics.ALL if topic != topics.DEAD_LETTER}


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(argument("name"), option("--follow/--no-follow", default=False, help="Keep going."))
    async def topic(self: Any, name: str, follow: bool) -> None:
        """Show a topic's records, decoded from Avro, as JSON lines."""
        if name not in topics.ALL:
            raise SystemExit(f"no topic {name!r}; there are: {', '.join(topics.ALL)}")
        try:
            await show(settings, name, follow)
        except (KafkaError, LogUnavailable) as exc:
            raise SystemExit(f"The topic could not be read: {reason(exc)}. See: make ps") from exc


async def show(settings: Settings, name: str, follow: bool) -> None:
    """Print the records to the present end, by time, and with `follow` those that come after."""
    codec = await topics.reader(settings, SCHEMA_OF[name]) if name in SCHEMA_OF else None
    async for record in by_time(settings, name, follow=follow):
        await _print(codec, record)


async def _print(codec: Codec | None, record: Any) -> None:
    where = {"partition": record.partition, "offset": record.offset}
    if codec is None:
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        print(json.dumps({**where, **headers, "value": (record.value or b"").hex()}, ensure_ascii=False))
        return
    decoded = (await codec.decode([record.value]))[0]
    shown = {"poison": str(decoded)} if isinstance(decoded, Poison) else decoded
    print(json.dumps({**shown, **where}, ensure_ascii=False), flush=True)
