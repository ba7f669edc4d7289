"""The description of the topics: valid, of every topic, with the schemas and headers that records really have."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import fastavro
import jsonschema
import pytest

from app.documents import documents
from app.messaging import topics
from app.messaging.dead_letters import PREFIX, dead_letter_of
from app.messaging.growth import Origin
from tests.unit.site import call

ROOT = Path(__file__).parents[2]
RULES = json.loads(gzip.decompress((ROOT / "tests/support/asyncapi/3.0.0.json.gz").read_bytes()))


def served() -> Any:
    return call("GET", "/asyncapi.json").json


def test_it_is_valid_by_the_standards_own_schema() -> None:
    jsonschema.Draft7Validator(RULES).validate(served())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(RULES).validate({**served(), "chanels": {}})


def test_it_has_every_topic_as_a_channel_that_can_be_read() -> None:
    document = served()
    assert set(document["channels"]) == set(topics.ALL)
    assert {said["channel"]["$ref"] for said in document["operations"].values()} == {
        f"#/channels/{topic}" for topic in topics.ALL
    }


@pytest.mark.parametrize("topic", [topics.CREATED, topics.STATUS, topics.LABEL])
def test_a_message_has_the_schema_that_is_registered(topic: str) -> None:
    schema = served()["components"]["messages"][topic]["payload"]["schema"]
    assert schema == json.loads((ROOT / f"schemas/avro/{topic}.avsc").read_text())
    fastavro.parse_schema(schema)


class Record:
    """A record that nobody could process."""

    topic, partition, offset = topics.CREATED, 0, 7
    headers = ((f"{PREFIX}forged", b"x"), ("theirs", b"y"))
    key = b"k"

    def __init__(self, value: bytes):
        self.value = value


@pytest.mark.parametrize("most", [100_000, 5_000, 4_000], ids=["whole", "compressed", "cut"])
def test_the_headers_are_those_of_a_dead_letter(most: int) -> None:
    value = (
        bytes(range(256)) * 30 if most != 4_000 else b"".join(bytes([n * 7919 % 251]) for n in range(9_000))
    )
    _, _, headers = dead_letter_of(Record(value), "why", most)
    described = served()["components"]["messages"][topics.DEAD_LETTER]["headers"]
    ours = {name for name, _ in headers if name.startswith(PREFIX)}
    assert set(described["required"]) <= ours <= described["properties"].keys()


def test_the_committed_copy_is_current() -> None:
    text = documents()["asyncapi.json"]
    assert (ROOT / "schemas/asyncapi.json").read_text() == text, (
        "write it anew: .venv/bin/python -m app.documents"
    )
    assert json.loads(text) == served()


def test_the_header_of_an_added_partition_is_described_as_it_is_written() -> None:
    ((name, value),) = Origin(7, 12, ((3, 40),)).headers
    described = served()["components"]["messages"][topics.STATUS]["headers"]["properties"]
    assert list(described) == [name]
    assert all(f"`{key}`" in described[name]["description"] for key in json.loads(value))
