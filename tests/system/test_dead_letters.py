"""Dead letters are listed, shown and sent back: once, unchanged, and decided when the cause is fixed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import fastavro
import pytest

from tests.support import commands, http, log
from tests.support.feed import Feed, new_id, record

HTTP = "/api/v1/dead-letters"
FAULTY = b"garbage of a dead letter"


@pytest.fixture(autouse=True)
def _good_records_at_the_end() -> Iterator[None]:
    """A sent-back record may be a partition's last: a reader at its end is before the transaction's marker."""
    yield
    feed = Feed()
    ids = [new_id() for _ in range(log.PARTITIONS)]
    log.produce((partition, id_.encode(), feed.value(id_)) for partition, id_ in enumerate(ids))
    for id_ in ids:
        http.final(id_, within=30)


def dead_lettered(value: bytes | None, key: bytes | None, partition: int = 0) -> tuple[str, log.Record]:
    """Feed it, wait for its dead letter, return that one's position and record."""
    before = log.ends(log.DEAD_LETTER)
    log.produce([(partition, key, value)])
    return next_dead_letter(before)


def next_dead_letter(before: log.Offsets) -> tuple[str, log.Record]:
    """The first dead letter after these offsets."""

    def new() -> list[log.Record]:
        return [r for r in log.read(log.DEAD_LETTER, before) if "dead_letter.topic" in dict(r.headers)]

    log.wait_until(lambda: bool(new()), 30, "the dead letter")
    (dead_letter,) = new()
    return f"{dead_letter.partition}:{dead_letter.offset}", dead_letter


def line_of(place: str) -> str:
    found = re.search(rf"^{place} .*$", commands.done("dead-letters"), re.MULTILINE)
    assert found, place
    return found[0]


def test_listed_and_shown() -> None:
    place, dead_letter = dead_lettered(FAULTY, b"a key")
    line = line_of(place)
    headers = {name: value.decode() for name, value in dead_letter.headers}
    assert f"{log.CREATED}[0]@{headers['dead_letter.offset']}" in line
    assert headers["dead_letter.reason"] in line
    assert f"{len(FAULTY)} B" in line
    shown = commands.done("dead-letters", "--show", place)
    assert "key: a key" in shown
    assert FAULTY[:16].hex(" ") in shown
    assert "garbage of a dea" in shown
    code, said = commands.run("dead-letters", "--show", "3:999999")
    assert (code, "no dead letter at 3:999999" in said) == (1, True)


@pytest.mark.parametrize(
    ("value", "key"), [pytest.param(FAULTY, b"a key", marks=pytest.mark.long), (b"", None)]
)
def test_sent_back_once_and_what_is_still_poison_is_a_new_dead_letter(
    value: bytes | None, key: bytes | None
) -> None:
    place, first = dead_lettered(value, key)
    ends, dead_letters = log.ends(log.CREATED), log.ends(log.DEAD_LETTER)
    assert "1 sent back, 0 had been before" in commands.done("dead-letters", "--send-back", place)
    assert "0 sent back, 1 had been before" in commands.done("dead-letters", "--send-back", place)
    (again,) = [r for r in log.read(log.CREATED, ends) if (r.value, r.key) == (value, key)]
    assert (again.partition, list(again.headers)) == (first.partition, [])
    new_place, new_dead_letter = next_dead_letter(dead_letters)
    assert new_place != place
    assert (new_dead_letter.value, new_dead_letter.key) == (first.value, first.key)
    assert dict(new_dead_letter.headers)["dead_letter.offset"] == str(again.offset).encode()
    assert "sent back" in line_of(place)
    assert "sent back" not in line_of(new_place)


@pytest.mark.long
def test_listed_and_sent_back_over_http_once_and_not_by_a_page_of_another_origin() -> None:
    place, _ = dead_lettered(FAULTY, b"a key")
    listed = {one["id"]: one for one in http.call("GET", HTTP).json["dead_letters"]}
    assert (listed[place]["text"], listed[place]["key"]) == (FAULTY.decode(), "a key")
    before = log.ends(log.DEAD_LETTER)
    send = partial(http.call, "POST", f"{HTTP}/{place}/send-back", b"{}")
    as_json = {"Content-Type": "application/json"}
    assert send({**as_json, "Origin": "http://evil.example"}).status == 403
    assert send({}).status == 400
    answer = send(as_json)
    assert (answer.status, answer.json) == (202, {"sent_back": 1})
    assert send(as_json).json == {"sent_back": 0}
    new_place, again = next_dead_letter(before)
    assert (again.value, new_place != place) == (FAULTY, True)
    assert "sent back" in line_of(place)
    ids = {one["id"] for one in http.call("GET", HTTP).json["dead_letters"]}
    assert (place in ids, new_place in ids) == (False, True)


@pytest.mark.long
def test_decided_once_the_schema_that_was_missing_is_registered() -> None:
    number, schema = unregistered()
    id_ = new_id()
    value = log.framed(number, fastavro.parse_schema(schema), record(id_))
    place, dead_letter = dead_lettered(value, id_.encode())
    assert (
        f"schema {number} is not in the registry" in dict(dead_letter.headers)["dead_letter.reason"].decode()
    )
    assert registered(schema) == number
    commands.done("dead-letters", "--send-back", place)
    assert http.final(id_, within=30)["revision"] == 1
    assert "0 sent back, 1 had been before" in commands.done("dead-letters", "--send-back", place)


def unregistered() -> tuple[int, Mapping[str, Any]]:
    """A schema that the registry does not have, and the id it will get there: the one after the newest."""
    return registered(later_schema()) + 1, later_schema()


def later_schema() -> dict[str, Any]:
    """Ours with one more field, of an unused name; the registry ignores differences in a `doc`."""
    _, ours = log.latest_schema(log.CREATED)
    more = {"name": f"more_{new_id().replace('-', '')}", "type": ["null", "string"], "default": None}
    return {**ours, "fields": [*ours["fields"], more]}


def registered(schema: Mapping[str, Any]) -> int:
    """Its id, in an unused subject."""
    status, answer = log.registry(
        "/subjects/dead-letters-test/versions", {"schema": json.dumps(schema)}, "POST"
    )
    assert status == 200, answer
    return int(answer["id"])
