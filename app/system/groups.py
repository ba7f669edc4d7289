"""What Kafka says of our consumer groups: who is in them, how far they are, where the topics end."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from app import connections
from app.messaging import topics
from app.messaging.consumer_groups import READERS
from app.messaging.kafka_errors import log_unavailable
from app.messaging.log_consumer import LogConsumer
from app.messaging.producer import METADATA_MAX_AGE
from app.models.role import MAIN, ROLES
from app.settings import Settings

#: Seconds for each of Kafka's answers.
ANSWERS_WITHIN = 2.0
_CLIENT = re.compile(r"(?P<role>[a-z]+):(?P<port>\d{1,5})")


def client_id(role: str, web_port: int) -> str:
    """How a worker calls itself to Kafka, so that whoever reads the group's description knows where to ask it."""
    return f"{role}:{web_port}"


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a worker of a role answers HTTP."""

    role: str
    host: str
    port: int

    @property
    def url(self) -> str:
        """Without a path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Groups:
    """`members`: by member id; offsets of transaction_created by partition; `dead_letters`: offsets of that topic."""

    members: Mapping[str, Address]
    committed: Mapping[int, int] = field(default_factory=dict)
    ends: Mapping[int, int] = field(default_factory=dict)
    dead_letters: int = 0


class GroupReader:
    """An admin client and a consumer of no group, kept open; opened again after a failure."""

    def __init__(self, settings: Settings, role: str):
        """`role`: of this worker; the groups of its deployment mode are described, those of the other are at rest."""
        self._settings = settings
        self._groups = [name for name in ROLES if (name == MAIN.name) == (role == MAIN.name)]
        self._admin: AIOKafkaAdminClient | None = None
        self._consumer: LogConsumer | None = None
        self._coordinators: dict[str, int] = {}
        self._offsets: dict[str, Mapping[TopicPartition, Any]] = {}  # committed, by group

    async def read(self) -> Groups:
        """LogUnavailable."""
        with log_unavailable("the groups could not be read"):
            try:
                async with asyncio.timeout(2 * ANSWERS_WITHIN):
                    admin, consumer = await self._opened()
                    described, committed, ends = await asyncio.gather(
                        self._described(admin), self._committed(admin), self._ends(consumer)
                    )
            except BaseException:
                await self.close()
                raise
        created = {tp.partition: end for tp, end in ends.items() if tp.topic == topics.CREATED}
        others = sum(end for tp, end in ends.items() if tp.topic == topics.DEAD_LETTER)
        return Groups(members_of(described), committed, created, others)

    async def _opened(self) -> tuple[AIOKafkaAdminClient, LogConsumer]:
        if self._admin is None or self._consumer is None:
            kafka, patience = connections.kafka(self._settings), int(ANSWERS_WITHIN * 1000)
            self._admin = AIOKafkaAdminClient(**kafka, request_timeout_ms=patience)
            self._consumer = LogConsumer(
                *(topics.CREATED, topics.DEAD_LETTER),
                **kafka,
                enable_auto_commit=False,
                request_timeout_ms=patience,
                metadata_max_age_ms=METADATA_MAX_AGE,
            )
            await self._admin.start()
            await self._consumer.start()
        return self._admin, self._consumer

    async def _described(self, admin: AIOKafkaAdminClient) -> list[Any]:
        found: list[Any] = []
        for group in self._groups:  # aiokafka cannot read an answer about two
            (response,) = await admin.describe_consumer_groups([group], await self._coordinator(admin, group))
            found += response.groups
        return found

    async def _committed(self, admin: AIOKafkaAdminClient) -> dict[int, int]:
        """Per partition of transaction_created, the furthest that a group has come."""
        for group in READERS[topics.CREATED]:
            if group in self._groups or group not in self._offsets:  # the other mode's stands still
                node = await self._coordinator(admin, group)
                self._offsets[group] = await admin.list_consumer_group_offsets(group, node)
        furthest: dict[int, int] = {}
        for offsets in self._offsets.values():
            for tp, found in offsets.items():
                if tp.topic == topics.CREATED:
                    furthest[tp.partition] = max(found.offset, furthest.get(tp.partition, 0))
        return furthest

    async def _coordinator(self, admin: AIOKafkaAdminClient, group: str) -> int:
        if group not in self._coordinators:
            self._coordinators[group] = await admin.find_coordinator(group)
        return self._coordinators[group]

    async def _ends(self, consumer: LogConsumer) -> dict[TopicPartition, int]:
        partitions = [
            TopicPartition(topic, partition)
            for topic in (topics.CREATED, topics.DEAD_LETTER)
            for partition in consumer.partitions_for_topic(topic) or ()
        ]
        return await consumer.end_offsets(partitions)  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Disconnect."""
        admin, consumer, self._admin, self._consumer = self._admin, self._consumer, None, None
        self._coordinators.clear()
        self._offsets.clear()
        if consumer is not None:
            await consumer.stop()
        if admin is not None:
            await admin.close()


def members_of(described: Iterable[Any]) -> dict[str, Address]:
    """The workers in DescribeGroups' answers, by member id; who does not call itself as ours do is left out."""
    found = {}
    for code, group, _, _, _, members, *_ in described:
        if code:
            raise for_code(code)(f"group {group}")
        for member_id, *_, name, host, _, _ in members:
            # A group's name is its role's: another client's id does not make it one of ours.
            if (worker := _CLIENT.fullmatch(name)) and worker["role"] == group:
                found[member_id] = Address(group, host.removeprefix("/"), int(worker["port"]))
    return found
