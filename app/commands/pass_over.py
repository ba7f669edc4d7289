"""`faust -A app.main pass-over TOPIC:PARTITION:OFFSET`: a batch nobody can read goes into the dead letters."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import faust
from aiokafka import TopicPartition
from faust.cli import argument

from app.commands.shared.console import friendly_errors
from app.commands.shared.topic_reader import connected
from app.messaging import topics
from app.messaging.dead_letters import NEXT, dead_letter_of, place_of
from app.messaging.fenced_writer import FencedWriter, Outgoing
from app.messaging.fetching import Fetching, Unreadable
from app.messaging.holds import AGAIN_AFTER
from app.messaging.raw_batch import unread
from app.settings import Settings

#: Seconds to read the one batch.
WITHIN = 10.0


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(argument("place"), name="pass-over")
    async def pass_over(self: Any, place: str) -> None:
        """Put a batch that cannot be read into the dead letters; its partition goes on behind it."""
        tp, offset = placed(place)
        with friendly_errors("pass-over"):
            batch, after, why = await _unreadable(settings, tp, offset)
            await _dead_letter(settings, tp, offset, batch, why, after)
        print(f"{place_of((*tp, offset))}, {len(batch)} bytes, is in the dead letters ({why.reason}).")
        if not batch:
            print(
                f"Kafka cannot read on before {after}: the offsets {offset} to {after - 1} are passed over."
            )
        print(f"Whoever reads the partition goes on at {after} within {2 * AGAIN_AFTER:g} s; see make lag")


def placed(place: str) -> tuple[TopicPartition, int]:
    """The topic, partition and offset in TOPIC:PARTITION:OFFSET; SystemExit."""
    try:
        topic, partition, offset = place.rsplit(":", 2)
        tp, at = TopicPartition(topic, int(partition)), int(offset)
    except ValueError:
        raise SystemExit(
            f"which batch? AT=topic:partition:offset, as make lag says it, not {place!r}"
        ) from None
    if topic not in topics.OF_AGENT.values():
        raise SystemExit(f"the topics that are read are {', '.join(topics.OF_AGENT.values())}, not {topic}")
    return tp, at


async def _unreadable(settings: Settings, tp: TopicPartition, offset: int) -> tuple[bytes, int, Unreadable]:
    """The bytes there, the offset behind them, and why nobody can read them; SystemExit when they can be read."""
    async with connected(settings) as (consumer, admin):
        if tp not in await topics.partitions(admin, tp.topic):
            raise SystemExit(f"there is no partition {tp.partition} of {tp.topic}")
        consumer.assign([tp])
        consumer.seek(tp, offset)
        found, unreadable = await Fetching(consumer).records([tp], WITHIN, 1)
        if not unreadable:
            what = "can be read" if found else "is behind the end of what is committed"
            raise SystemExit(f"{place_of((*tp, offset))} {what}: nothing to pass over")
        where = unreadable[tp]
        if where.offset != offset:
            raise SystemExit(
                f"what cannot be read begins at {where.offset}: say AT={tp.topic}:{tp.partition}:{where.offset}"
            )
        return *await unread(consumer, tp, offset), where


async def _dead_letter(
    settings: Settings, tp: TopicPartition, offset: int, batch: bytes, why: Unreadable, after: int
) -> None:
    record = SimpleNamespace(
        topic=tp.topic, partition=tp.partition, offset=offset, key=None, value=batch, headers=(), timestamp=0
    )
    key, value, headers = dead_letter_of(record, f"the batch cannot be read: {why.reason}")
    dead_letter = Outgoing(
        topics.DEAD_LETTER, tp.partition, key, value, [*headers, (NEXT, str(after).encode())]
    )
    async with FencedWriter(settings, "pass-over") as writer:
        await writer.write([dead_letter])
