"""A topic that takes nothing for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from exercises.backlog import brokers

#: DescribeConfigs' source of a setting of the topic itself.
OWN = 1
#: Every record is too old. (min.insync.replicas would not do: of a topic with one replica Kafka asks for no more.)
REFUSES_ALL = {"message.timestamp.before.max.ms": "0"}


async def settings(topic: str) -> dict[str, str]:
    """What is set on the topic itself."""
    async with _admin() as admin:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        ((_, _, _, _, found),) = response.resources
        return {name: value for name, value, _, source, *_ in found if source == OWN}


async def set_settings(topic: str, values: Mapping[str, str]) -> None:
    """Exactly these, and no others."""
    async with _admin() as admin:
        wanted = ConfigResource(ConfigResourceType.TOPIC, topic, dict(values))
        (response,) = await admin.alter_configs([wanted])
        if any(code for code, *_ in response.resources):
            raise SystemExit(f"Kafka did not take the settings of {topic}: {response}")


@asynccontextmanager
async def _admin() -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(bootstrap_servers=brokers())
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
