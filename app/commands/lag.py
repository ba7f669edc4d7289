"""`faust -A app.main lag`: consumer lag per partition."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from app.commands.shared.console import reason
from app.commands.shared.topic_reader import connected
from app.messaging import topics
from app.messaging.consumer_groups import READERS
from app.messaging.fetching import Fetching
from app.messaging.tail_reader import high_watermarks
from app.settings import Settings

UNREADABLE = "unreadable"
ROW = "{:<20} {:>9}  {:<13} {:>10} {:>10} {:>8} {:>10}"


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command()
    async def lag(self: Any) -> None:
        """Show one line per partition: end, committed, lag, age of the oldest record not committed."""
        try:
            await show(settings)
        except KafkaError as exc:
            raise SystemExit(f"The groups could not be read: {reason(exc)}. See: make ps") from exc


async def show(settings: Settings) -> None:
    """Print the table."""
    async with connected(settings) as (consumer, admin):
        print(ROW.format("topic", "partition", "group", "end", "committed", "lag", "oldest"))
        found = {topic: await topics.partitions(admin, topic) for topic in READERS}
        for topic, groups in READERS.items():
            committed = {group: await admin.list_consumer_group_offsets(group) for group in groups}
            await _show_topic(settings, consumer, found[topic], committed)
        created, status = len(found[topics.CREATED]), len(found[topics.STATUS])
        if created != status:
            print(topics.unequal(created, status))


async def _show_topic(
    settings: Settings,
    consumer: AIOKafkaConsumer,
    partitions: list[TopicPartition],
    committed: dict[str, Any],
) -> None:
    beginnings, ends = (
        await consumer.beginning_offsets(partitions),
        await high_watermarks(settings, partitions),
    )
    readable = await consumer.end_offsets(partitions)
    still_open = await _still_open(consumer, readable, ends)
    for tp in partitions:
        offsets = {group: found[tp].offset for group, found in committed.items() if tp in found}
        group = max(offsets, key=lambda name: offsets[name], default="-")
        done = max(offsets.get(group, -1), beginnings[tp])
        age = await _age(consumer, tp, done, readable[tp]) if done < readable[tp] else None
        is_open = tp in still_open
        behind = 0 if age is None and not is_open else ends[tp] - done
        print(ROW.format(tp.topic, tp.partition, group, ends[tp], done, behind, age or "-"))
        if is_open:
            print(
                f"  a transaction of another producer is open since {readable[tp]}: what is behind it waits for its end"
            )
        if age == UNREADABLE:
            place = f"{tp.topic}:{tp.partition}:{done}"
            print(
                f"  the batch at {done} cannot be read: its partition is held. See: make pass-over AT={place}"
            )


async def _still_open(
    consumer: AIOKafkaConsumer, readable: dict[TopicPartition, int], ends: dict[TopicPartition, int]
) -> set[TopicPartition]:
    """The partitions in which a transaction stays open for a second; ours end sooner."""
    found = [tp for tp in ends if readable[tp] < ends[tp]]
    if not found:
        return set()
    await asyncio.sleep(1)
    later = await consumer.end_offsets(found)
    return {tp for tp in found if later[tp] == readable[tp]}


async def _age(consumer: AIOKafkaConsumer, tp: TopicPartition, offset: int, end: int) -> str | None:
    """How old the oldest record is; None when there are only marks of transactions, which have offsets too."""
    consumer.assign([tp])
    consumer.seek(tp, offset)
    fetching, deadline = Fetching(consumer), time.monotonic() + 2
    while await consumer.position(tp) < end and time.monotonic() < deadline:
        fetched, unreadable = await fetching.records([tp], 0.2, 1)
        if records := fetched.get(tp):
            return f"{max(0.0, time.time() - records[0].timestamp / 1000):.1f} s"
        if unreadable:
            return UNREADABLE
    return None if await consumer.position(tp) >= end else "?"
