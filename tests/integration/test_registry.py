"""Codec and registry: old records are read with a newer schema, and the registry enforces that for new ones."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from app.errors import Poison
from app.messaging import topics
from app.messaging.codec import Codec
from app.messaging.topics import WrongTopic
from app.settings import Settings
from tests.support import feed, log

Schema = Mapping[str, Any]

V1 = topics.load_schema(topics.CREATED)
WITH_DEFAULT = {**V1, "fields": [*V1["fields"], {"name": "channel", "type": "string", "default": "web"}]}
WITHOUT_DEFAULT = {**V1, "fields": [*V1["fields"], {"name": "channel", "type": "string"}]}
WITHOUT_LATITUDE = {**V1, "fields": [f for f in V1["fields"] if f["name"] != "latitude"]}


@pytest.fixture
def topic() -> Iterator[str]:
    """A separate subject."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    yield name
    log.registry(f"/subjects/{name}-value", method="DELETE")


def codec(topic: str, schema: Schema, monkeypatch: pytest.MonkeyPatch) -> Codec:
    """As in a worker with this schema."""
    monkeypatch.setattr(topics, "load_schema", lambda _: schema)
    return asyncio.run(topics.register(Settings(), topic))


def read(by: Codec, value: bytes) -> Any:
    (found,) = asyncio.run(by.decode([value]))
    return found


def test_an_old_record_is_read_with_a_newer_schema(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = feed.record(feed.new_id())
    old = codec(topic, V1, monkeypatch).encode(record)
    newer = codec(topic, WITH_DEFAULT, monkeypatch)
    assert read(newer, old) == {**record, "channel": "web"}
    assert read(newer, newer.encode({**record, "channel": "shop"})) == {**record, "channel": "shop"}


def test_a_worker_not_yet_updated_reads_newer_records(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = feed.record(feed.new_id())
    old = codec(topic, V1, monkeypatch)
    newer = codec(topic, WITH_DEFAULT, monkeypatch)
    assert read(old, newer.encode({**record, "channel": "shop"})) == record


def test_a_removed_field_is_no_obstacle(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = feed.record(feed.new_id())
    old = codec(topic, V1, monkeypatch).encode(record)
    found = read(codec(topic, WITHOUT_LATITUDE, monkeypatch), old)
    assert found == {name: value for name, value in record.items() if name != "latitude"}


def test_registering_again_gives_the_same_id(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = feed.record(feed.new_id())
    values = {codec(topic, V1, monkeypatch).encode(record)[:5] for _ in range(2)}
    assert len(values) == 1


def test_a_schema_that_cannot_read_the_old_ones_is_refused(
    topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec(topic, V1, monkeypatch)
    with pytest.raises(WrongTopic, match="incompatible"):
        codec(topic, WITHOUT_DEFAULT, monkeypatch)


def test_every_older_version_counts_not_only_the_last(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    codec(topic, WITHOUT_LATITUDE, monkeypatch)
    with_default = [{**f, "default": 0.0} if f["name"] == "latitude" else f for f in V1["fields"]]
    codec(topic, {**V1, "fields": with_default}, monkeypatch)
    with pytest.raises(WrongTopic, match="incompatible"):
        codec(topic, V1, monkeypatch)  # it reads the second, and not the first


def test_an_id_that_the_registry_does_not_know_is_poison(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = codec(topic, V1, monkeypatch).encode(feed.record(feed.new_id()))
    found = read(codec(topic, V1, monkeypatch), b"\0\x7f\xff\xff\xff" + value[5:])
    assert isinstance(found, Poison)
    assert "2147483647 is not in the registry" in str(found)


def test_a_stricter_compatibility_level_stays(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = f"/config/{topic}-value"
    codec(topic, V1, monkeypatch)
    assert log.registry(config)[1]["compatibilityLevel"] == "BACKWARD_TRANSITIVE"
    status, answer = log.registry(config, {"compatibility": "FULL_TRANSITIVE"}, "PUT")
    assert status == 200, answer
    codec(topic, V1, monkeypatch)
    assert log.registry(config)[1]["compatibilityLevel"] == "FULL_TRANSITIVE"


def test_a_reader_registers_nothing(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "load_schema", lambda _: V1)
    asyncio.run(topics.reader(Settings(), topic))
    assert log.registry(f"/subjects/{topic}-value/versions")[0] == 404


def test_a_reader_reads_what_others_wrote(topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    record = feed.record(feed.new_id())
    written = codec(topic, V1, monkeypatch).encode(record)
    looking = asyncio.run(topics.reader(Settings(), topic))
    assert read(looking, written) == record
