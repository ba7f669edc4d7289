"""`faust -A app.main topic NAME`: a topic's records, decoded, as JSON lines, newest last."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from faust.cli import argument, option

from app import topics
from app.clients.fetching import Fetching
from app.codec import Codec
from app.commands.reading import connected, left_out
from app.commands.running import reason
from app.errors import LogUnavailable, Poison
from app.settings import Settings

#: Which schema a topic's records have; a dead letter has whatever its bytes are, shown as text.
SCHEMA_OF = {topics.CREATED: topics.CREATED, topics.STATUS: topics.STATUS}

AT_ONCE = 500


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
    async with connected(settings) as (consumer, admin):
        partitions = await topics.partitions(admin, name)
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        fetching, ends = Fetching(consumer), await consumer.end_offsets(partitions)
        async for record in _by_time(consumer, fetching, ends):
            await _print(codec, record)
        while follow:
            for record in await _some(fetching, partitions):
                await _print(codec, record)


async def _by_time(
    consumer: AIOKafkaConsumer, fetching: Fetching, ends: dict[TopicPartition, int]
) -> AsyncIterator[Any]:
    """The partitions merged by time; in memory are some records of each."""
    next_ones: dict[TopicPartition, deque[Any]] = {tp: deque() for tp in ends}
    while True:
        for tp, end in ends.items():
            while not next_ones[tp] and await consumer.position(tp) < end:
                next_ones[tp].extend(await _some(fetching, [tp]))
        oldest = min(
            (found[0] for found in next_ones.values() if found),
            key=lambda r: (r.timestamp, r.partition, r.offset),
            default=None,
        )
        if oldest is None:
            return
        yield next_ones[TopicPartition(oldest.topic, oldest.partition)].popleft()


async def _some(fetching: Fetching, partitions: Sequence[TopicPartition]) -> list[Any]:
    fetched, unreadable = await fetching.records(partitions, 0.5, AT_ONCE)
    for tp, where in unreadable.items():
        print(left_out(tp, where), file=sys.stderr)
        await fetching.leave_out(tp, where)
    return [record for found in fetched.values() for record in found]


async def _print(codec: Codec | None, record: Any) -> None:
    where = {"partition": record.partition, "offset": record.offset}
    if codec is None:
        headers = {name: value.decode(errors="replace") for name, value in record.headers}
        print(json.dumps({**where, **headers, "value": (record.value or b"").hex()}, ensure_ascii=False))
        return
    decoded = (await codec.decode([record.value]))[0]
    shown = {"poison": str(decoded)} if isinstance(decoded, Poison) else decoded
    print(json.dumps({**shown, **where}, ensure_ascii=False), flush=True)
