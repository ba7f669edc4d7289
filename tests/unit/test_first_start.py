"""What a first start waits for is said in words that are no alarm, and nobody is called at work who is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from cassandra import InvalidRequest
from schema_registry.client.errors import ClientError

from app.errors import LogUnavailable, StoreUnavailable
from app.messaging import consumer_groups, topics
from app.messaging.consumer_groups import OtherModeActive, adopt_offsets
from app.settings import Settings
from app.stores.idempotency_table import IdempotencyTable

NORMAL = "normal (at a|while two workers start for the) first"


def groups(monkeypatch: pytest.MonkeyPatch, code: int, state: str) -> None:
    """Kafka says this of every group."""

    class Admin:
        async def list_consumer_group_offsets(self, _: str) -> dict[Any, Any]:
            return {}

        async def describe_consumer_groups(self, names: list[str]) -> list[Any]:
            return [SimpleNamespace(groups=[(code, names[0], state, "", "", [])])]

    @asynccontextmanager
    async def admin_client(_: Settings) -> AsyncIterator[Admin]:
        yield Admin()

    monkeypatch.setattr(topics, "admin_client", admin_client)


@pytest.mark.parametrize("code", [14, 15, 16])
def test_a_group_that_kafka_does_not_know_yet_is_not_at_work(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    groups(monkeypatch, code, "")
    with pytest.raises(LogUnavailable, match=NORMAL):
        asyncio.run(adopt_offsets("bff", Settings()))


def test_a_refusal_of_kafka_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    groups(monkeypatch, 30, "")
    with pytest.raises(LogUnavailable, match=r"GroupAuthorizationFailed.*group main"):
        asyncio.run(adopt_offsets("bff", Settings()))


@pytest.mark.parametrize("state", ["Empty", "Dead"])
def test_a_group_without_members_is_no_other_mode(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    groups(monkeypatch, 0, state)
    asyncio.run(adopt_offsets("bff", Settings()))


def test_a_group_with_members_is(monkeypatch: pytest.MonkeyPatch) -> None:
    groups(monkeypatch, 0, "Stable")
    with pytest.raises(OtherModeActive, match=r"group main is at work \(Stable\): stop `app.main`"):
        asyncio.run(adopt_offsets("bff", Settings()))
    assert consumer_groups.READERS[topics.STATUS] == ("bff", "main")


def test_a_keyspace_that_is_not_made_yet_is_normal_and_another_failure_is_told_as_it_is() -> None:
    async def made(cause: Exception) -> None:
        async def run(*_: Any) -> None:
            raise StoreUnavailable(f"Cassandra: {cause}") from cause

        cassandra: Any = SimpleNamespace(run=run)
        await IdempotencyTable(cassandra, 1.0).make()

    with pytest.raises(StoreUnavailable, match=NORMAL):
        asyncio.run(made(InvalidRequest("Keyspace 'transactions' doesn't exist")))
    with pytest.raises(StoreUnavailable, match="no host"):
        asyncio.run(made(OSError("no host")))


def test_a_level_that_two_workers_set_at_once_is_normal() -> None:
    class Registry:
        def get_compatibility(self, subject: str | None = None) -> str:
            return "NONE"

        def update_compatibility(self, level: str, subject: str) -> None:
            raise ClientError(f"Unable to update level: {level}.", http_code=500)

    registry: Any = Registry()
    with pytest.raises(LogUnavailable, match=NORMAL + r".*answered 500"):
        topics.keep_compatible(registry, "a_topic-value")
