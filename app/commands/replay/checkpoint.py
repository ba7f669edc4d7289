"""How far a command has come in a topic: the committed offsets of a consumer group of its own, with a note."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from app import connections
from app.commands.shared.topic_reader import connected
from app.messaging.fenced_writer import ANSWERS_WITHIN_MS
from app.messaging.log_consumer import LogConsumer
from app.settings import Settings

#: The metadata of a replay that finished: there is nothing to resume.
FINISHED = "finished"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where a replay stopped, and its metadata; no offsets when there is nothing to resume."""

    offsets: Mapping[int, int] = field(default_factory=dict)
    metadata: str = ""


class CheckpointStore:
    """Moved only when all before is written for good, so that whoever goes on from it misses nothing."""

    def __init__(self, settings: Settings, name: str, topic: str):
        self._settings, self._name, self._topic = settings, name, topic
        self._offsets: dict[int, int] = {}
        self._consumer = LogConsumer(
            **connections.kafka(settings),
            group_id=name,
            enable_auto_commit=False,
            request_timeout_ms=ANSWERS_WITHIN_MS,
        )

    async def __aenter__(self) -> CheckpointStore:
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()

    async def found(self) -> Checkpoint:
        """What an earlier run has left."""
        async with connected(self._settings) as (_, admin):
            committed = await admin.list_consumer_group_offsets(self._name)
        left = {
            tp.partition: one
            for tp, one in committed.items()
            if tp.topic == self._topic and one.metadata != FINISHED
        }
        metadata = next((one.metadata for one in left.values()), "")
        return Checkpoint({number: one.offset for number, one in left.items()}, metadata)

    async def move(self, offsets: Mapping[int, int], metadata: str) -> None:
        """All before these offsets is done."""
        self._offsets.update(offsets)
        places = {TopicPartition(self._topic, number): (at, metadata) for number, at in self._offsets.items()}
        if places:
            self._consumer.assign(list(places))
            await self._consumer.commit(places)

    async def finish(self) -> None:
        """The work is at its end."""
        await self.move({}, FINISHED)
