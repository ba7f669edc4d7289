"""Changing the form: the group of this form begins where the other form's groups stand.

`app.bff` and `app.transactions` (two processes) read as groups bff and transactions; `app.main` (one process) as main.
Each form does the same work into the same stores, so an offset one of them committed is done for the other as well.
"""

from __future__ import annotations

import logging

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.errors import LogUnavailable, Transient
from app.messaging import topics
from app.settings import Settings

log = logging.getLogger(__name__)

#: Which topics a group reads, and which groups of the other form did the same work.
READS = {"bff": (topics.STATUS,), "transactions": (topics.CREATED,), "main": (topics.CREATED, topics.STATUS)}
OTHERS = {
    "bff": {topics.STATUS: "main"},
    "transactions": {topics.CREATED: "main"},
    "main": {topics.CREATED: "transactions", topics.STATUS: "bff"},
}


class OtherFormRuns(Transient):
    """Both forms at once would decide everything twice."""


async def take_over(group: str, settings: Settings) -> None:
    """Move `group` forward to where the other form's groups stand; OtherFormRuns, LogUnavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers, request_timeout_ms=10_000)
    try:
        await admin.start()
        ours = await admin.list_consumer_group_offsets(group)
        ahead: dict[TopicPartition, int] = {}
        for topic, other in OTHERS[group].items():
            await _check_stopped(admin, group, other)
            for tp, found in (await admin.list_consumer_group_offsets(other)).items():
                mine = ours[tp].offset if tp in ours else -1
                if tp.topic == topic and found.offset > mine:
                    ahead[tp] = found.offset
        if ahead:
            await _move(group, ahead, settings)
    except (KafkaError, OSError) as exc:
        raise LogUnavailable(f"the groups' offsets could not be read: {exc!r}") from exc
    finally:
        await admin.close()


async def done(settings: Settings, topic: str) -> dict[int, int]:
    """Of each partition, up to where all is done: decided, told and stored, or shown; LogUnavailable."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_brokers, request_timeout_ms=10_000)
    try:
        await admin.start()
        offsets = {tp.partition: 0 for tp in await topics.partitions(admin, topic)}
        for group in (group for group, read in READS.items() if topic in read):
            for tp, found in (await admin.list_consumer_group_offsets(group)).items():
                if tp.topic == topic:
                    offsets[tp.partition] = max(found.offset, offsets.get(tp.partition, 0))
    except (KafkaError, OSError) as exc:
        raise LogUnavailable(f"the groups' offsets could not be read: {exc!r}") from exc
    finally:
        await admin.close()
    return offsets


async def _check_stopped(admin: AIOKafkaAdminClient, group: str, other: str) -> None:
    for response in await admin.describe_consumer_groups([other]):
        for _, name, state, *_ in response.groups:
            if state not in ("Empty", "Dead"):
                raise OtherFormRuns(
                    f"group {name} is at work ({state}): stop `app.{name}` before `app.{group}` starts"
                )


async def _move(group: str, offsets: dict[TopicPartition, int], settings: Settings) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_brokers,
        group_id=group,
        enable_auto_commit=False,
        request_timeout_ms=10_000,
    )
    try:
        await consumer.start()
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
        log.info("Group %s goes on where the other form stopped: %s", group, _text(offsets))
    finally:
        await consumer.stop()


def _text(offsets: dict[TopicPartition, int]) -> str:
    return ", ".join(f"{tp.topic}[{tp.partition}] at {offset}" for tp, offset in sorted(offsets.items()))
