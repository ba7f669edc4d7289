"""Consumer groups across deployment modes: a group starts at the offsets that the other mode's group committed.

`app.bff` and `app.transactions` (two processes) read as groups bff and transactions; `app.main` (one process) as main.
Each mode does the same work into the same stores, so an offset one of them committed is done for the other as well.
"""

from __future__ import annotations

import logging

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    for_code,
)

from app import connections
from app.errors import LogUnavailable, Transient
from app.messaging import topics
from app.messaging.kafka_errors import log_unavailable
from app.messaging.log_consumer import LogConsumer
from app.models.role import ROLES
from app.settings import Settings

log = logging.getLogger(__name__)

#: The groups that read a topic, one per deployment mode: whichever is ahead says what is done.
READERS = {
    topic: tuple(role.name for role in ROLES.values() if agent in role.agents)
    for agent, topic in topics.OF_AGENT.items()
}


#: What Kafka answers about a group while it makes, or reads, the topic that groups are kept in.
NOT_READY = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


class OtherModeActive(Transient):
    """Both deployment modes at once would decide everything twice."""


async def adopt_offsets(group: str, settings: Settings) -> None:
    """Move `group` forward to the offsets that the other mode's groups committed; OtherModeActive, LogUnavailable."""
    ahead: dict[TopicPartition, int] = {}
    with log_unavailable("the groups' offsets could not be read"):
        async with topics.admin_client(settings) as admin:
            ours = await admin.list_consumer_group_offsets(group)
            for topic, other in _others(group):
                await _check_stopped(admin, group, other)
                for tp, found in (await admin.list_consumer_group_offsets(other)).items():
                    mine = ours[tp].offset if tp in ours else -1
                    if tp.topic == topic and found.offset > mine:
                        ahead[tp] = found.offset
            if ahead:
                await _move(group, ahead, settings)


async def committed_offsets(settings: Settings, topic: str) -> dict[int, int]:
    """Per partition, the offset up to which everything is decided, published and stored, or shown. LogUnavailable."""
    with log_unavailable("the groups' offsets could not be read"):
        async with topics.admin_client(settings) as admin:
            offsets = {tp.partition: 0 for tp in await topics.partitions(admin, topic)}
            for group in READERS[topic]:
                for tp, found in (await admin.list_consumer_group_offsets(group)).items():
                    if tp.topic == topic:
                        offsets[tp.partition] = max(found.offset, offsets.get(tp.partition, 0))
            return offsets


def _others(group: str) -> list[tuple[str, str]]:
    """Each topic of the group, and the group of the other mode that reads it."""
    return [
        (topic, other)
        for topic, readers in READERS.items()
        if group in readers
        for other in readers
        if other != group
    ]


async def _check_stopped(admin: AIOKafkaAdminClient, group: str, other: str) -> None:
    for response in await admin.describe_consumer_groups([other]):
        for code, name, state, *_ in response.groups:
            if code:
                raise _not_described(code, name)
            if state not in ("Empty", "Dead"):
                raise OtherModeActive(
                    f"group {name} is at work ({state}): stop `app.{name}` before `app.{group}` starts"
                )


def _not_described(code: int, group: str) -> Exception:
    error: type[Exception] = for_code(code)
    if issubclass(error, NOT_READY):
        return LogUnavailable("Kafka does not know its consumer groups yet, which is normal at a first start")
    return error(f"group {group}")


async def _move(group: str, offsets: dict[TopicPartition, int], settings: Settings) -> None:
    consumer = LogConsumer(
        **connections.kafka(settings),
        group_id=group,
        enable_auto_commit=False,
        request_timeout_ms=10_000,
    )
    try:
        await consumer.start()
        consumer.assign(list(offsets))
        await consumer.commit(offsets)
        log.info("Group %s continues where the other deployment mode stopped: %s", group, _text(offsets))
    finally:
        await consumer.stop()


def _text(offsets: dict[TopicPartition, int]) -> str:
    return ", ".join(f"{tp.topic}[{tp.partition}] at {offset}" for tp, offset in sorted(offsets.items()))
