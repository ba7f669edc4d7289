"""Topics are created at start, which waits for a broker that is not ready."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from schema_registry.client import SchemaRegistryClient
from schema_registry.client.errors import ClientError

from app.errors import LogUnavailable, Poison
from app.messaging import topics
from app.messaging.codec import Codec
from app.settings import Settings


class Young:
    """A broker that has just started: aiokafka fails like this while no controller is known."""

    async def create_topics(self, *_: Any) -> None:
        raise AttributeError("'NoneType' object has no attribute 'nodeId'")


def test_a_broker_without_a_controller_yet_is_one_to_wait_for() -> None:
    admin: Any = Young()
    with pytest.raises(LogUnavailable, match="controller"):
        asyncio.run(topics.ensure(admin, Settings()))


def answered(status: int, content: Any) -> SchemaRegistryClient:
    """A client whose registry answers so."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    client: Any = SchemaRegistryClient("http://127.0.0.1:1")
    client.request = lambda *_, **__: httpx.Response(status, content=body)
    return client


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_id_unknown_to_the_registry_is_no_reason_to_wait(status: int) -> None:
    assert topics._asked(Settings(), lambda: topics._found(answered(status, {}), 7)) is None


@pytest.mark.parametrize(
    ("status", "content"),
    [(500, {}), (503, b"<html>"), (200, b"<html>busy</html>"), (200, {}), (200, []), (401, {}), (429, {})],
)
def test_an_answer_that_is_not_a_registrys_is_a_reason_to_wait(status: int, content: Any) -> None:
    with pytest.raises(LogUnavailable):
        topics._asked(Settings(), lambda: topics._found(answered(status, content), 7))


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"schema": 'syntax = "proto3";', "schemaType": "PROTOBUF"}, "schema 7 is a PROTOBUF schema"),
        ({"schema": "{}", "schemaType": "JSON"}, "schema 7 is a JSON schema"),
        ({"schema": '"a.B"', "references": [{"name": "a.B"}]}, "refers to other schemas"),
        ({"schema": "no JSON"}, "JSONDecodeError"),
        ({"schema": 7}, "TypeError"),
        ({"schema": '"a.B"'}, "UnknownType"),
        ({"schema": "[" * 100_000}, "RecursionError"),
    ],
)
def test_a_schema_that_is_not_self_contained_avro_makes_a_dead_letter(found: Any, says: str) -> None:
    async def fetch(schema_id: int) -> Any:
        return topics.schema_in(topics._found(answered(200, found), schema_id), schema_id)

    codec = Codec(topics.load_schema(topics.CREATED), 1, fetch)
    (poison,) = asyncio.run(codec.decode([b"\0\0\0\0\7garbage"]))
    assert isinstance(poison, Poison)
    assert says in str(poison)


@pytest.mark.parametrize(("replicas", "least"), [(1, 1), (2, 1), (3, 2), (5, 4)])
def test_a_record_is_acknowledged_by_all_replicas_but_one(replicas: int, least: int) -> None:
    topics.check_config("a_topic", {"min.insync.replicas": str(least)}, replicas)
    topics.check_config("a_topic", {"min.insync.replicas": str(replicas)}, replicas)
    assert topics.in_sync_at_least(replicas) == least


def test_a_topic_whose_records_may_be_acknowledged_by_one_of_three_brokers_is_refused_by_name() -> None:
    with pytest.raises(topics.WrongTopic, match=r"a_topic has min\.insync\.replicas=1, less than 2 of its 3"):
        topics.check_config("a_topic", {"min.insync.replicas": "1"}, 3)


def test_a_topic_with_fewer_replicas_than_were_asked_for_is_refused_by_name() -> None:
    topics.check_replicas("a_topic", 3, 1)
    with pytest.raises(topics.WrongTopic, match=r"a_topic has 1 replica, fewer than TOPIC_REPLICATION=3"):
        topics.check_replicas("a_topic", 1, 3)


class Making:
    """A broker that records the topics it is asked to create."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    async def create_topics(self, new: list[Any]) -> Any:
        self.made += new
        return SimpleNamespace(topic_errors=[])


def test_topics_are_created_so_that_one_broker_may_die() -> None:
    admin: Any = Making()
    for topic in topics.ALL:
        asyncio.run(topics.create(admin, topic, Settings(topic_replication=3)))
    assert [new.topic_configs["min.insync.replicas"] for new in admin.made] == ["2"] * 5
    # What is known of merchants is as of an offset: all of their totals are in one order.
    assert [new.num_partitions for new in admin.made] == [4, 4, 4, 1, 4]


class Levels:
    """A registry that keeps compatibility levels; `own` is the subject's, None where it has none."""

    def __init__(self, own: str | None, of_all: str = "BACKWARD"):
        self.own, self.of_all = own, of_all

    def get_compatibility(self, subject: str | None = None) -> str:
        if subject and self.own is None:
            raise ClientError("none", http_code=404)
        return self.own if subject and self.own else self.of_all

    def update_compatibility(self, level: str, subject: str) -> None:
        self.own = level


@pytest.mark.parametrize(
    ("own", "of_all", "then"),
    [
        (None, "BACKWARD", "BACKWARD_TRANSITIVE"),
        ("NONE", "FULL_TRANSITIVE", "BACKWARD_TRANSITIVE"),
        ("FORWARD", "BACKWARD", "BACKWARD_TRANSITIVE"),
        ("BACKWARD_TRANSITIVE", "NONE", "BACKWARD_TRANSITIVE"),
        ("FULL_TRANSITIVE", "NONE", "FULL_TRANSITIVE"),
        (None, "FULL_TRANSITIVE", None),
    ],
)
def test_a_strict_enough_compatibility_level_is_left_as_it_is(
    own: str | None, of_all: str, then: str | None
) -> None:
    registry: Any = Levels(own, of_all)
    topics.keep_compatible(registry, "a_topic-value")
    assert registry.own == then


def test_a_registry_that_answers_with_a_proxys_page_is_waited_for() -> None:
    def html() -> None:
        raise json.JSONDecodeError("Expecting value", "<html>", 0)

    with pytest.raises(LogUnavailable, match="schema registry"):
        topics._asked(Settings(), html)


def test_brokers_that_forget_early_whom_they_have_fenced_are_refused() -> None:
    with pytest.raises(topics.WrongTopic, match=r"producer\.id\.expiration\.ms=60000, less than 7200000"):
        topics.check_broker({topics.EXPIRATION: "60000"})
    with pytest.raises(
        topics.WrongTopic, match=r"transactional\.id\.expiration\.ms=86400000, less than 172800000"
    ):
        topics.check_broker({topics.ID_EXPIRATION: "86400000"})


@pytest.mark.parametrize(
    "found", [{}, {topics.EXPIRATION: "86400000"}, {topics.ID_EXPIRATION: str(7 * 86_400_000)}]
)
def test_brokers_with_the_default_or_that_do_not_say_will_do(found: dict[str, str]) -> None:
    topics.check_broker(found)
