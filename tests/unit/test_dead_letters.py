"""A dead letter fits its topic, whatever the record was, and says what was left out."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from app.errors import LogUnavailable, Poison
from app.messaging.dead_letter_topic import StoredDeadLetter, sent_back, shown
from app.messaging.dead_letters import MOST, dead_letter_of
from app.processing.adapters import Adapters
from app.processing.pipeline import DeadLetter
from app.settings import Settings
from tests.unit import samples

NOISE = random.Random(1).randbytes(2_000_000)


def record(value: bytes | None, key: bytes | None = b"k", headers: Sequence[Any] = ()) -> Any:
    return SimpleNamespace(
        topic="transaction_created", partition=2, offset=7, key=key, value=value, headers=headers
    )


def read_back(original: Any, most: int = MOST) -> StoredDeadLetter:
    """The letter as the command reads it, after aiokafka has taken it and it was seen to fit."""
    key, value, headers = dead_letter_of(original, "why", most)
    builder = DefaultRecordBatchBuilder(2, 0, 0, 0, 0, 0, 900_000)
    builder.append(0, 0, key, value, headers)
    assert builder.size() < most
    (found,) = samples.dead_letters_of([samples.StoredDeadLetter(0, value, 2, key, headers)])
    assert found.reason == "why"
    assert found.source == ("transaction_created", 2, 7)
    shown(found)
    return found


@pytest.mark.parametrize("value", [None, b"", b"garbage", NOISE[:900_000], b"garbage" * 500_000])
def test_what_fits_or_can_be_compressed_is_shown_and_sent_back_whole(value: bytes | None) -> None:
    dead_letter = read_back(record(value, headers=[("traceparent", b"00-1")]))
    assert f"{len(value or b'')} B" in dead_letter.line
    assert not dead_letter.is_cut
    assert sent_back(dead_letter)[0][2:] == (b"k", value, [("traceparent", b"00-1")])


@pytest.mark.parametrize(
    ("value", "key", "headers"),
    [
        (NOISE, b"k", []),
        (b"x", NOISE, []),
        (b"x", b"k", [("big", NOISE)]),
        (None, None, [("n" * 2_000_000, b"")]),
        (NOISE, NOISE, [("big", NOISE)] * 2),
    ],
)
def test_what_is_too_large_in_any_part_is_cut_and_its_size_and_hash_are_reported(
    value: bytes | None, key: bytes | None, headers: list[Any]
) -> None:
    dead_letter = read_back(record(value, key, headers))
    assert dead_letter.is_cut
    assert " cut " in dead_letter.line
    published = dict(dead_letter.record.headers)
    assert published["dead_letter.value_bytes"] == str(len(value or b"")).encode()
    assert published["dead_letter.value_sha256"] == hashlib.sha256(value or b"").hexdigest().encode()


def test_a_header_without_a_value_or_a_utf8_name_is_no_obstacle() -> None:
    read_back(record(b"x", headers=[("none", None), ("\udcff", b"\xff"), ("dead_letter.topic", None)]))


def test_a_foreign_header_cannot_make_a_dead_letter_look_sent_back() -> None:
    assert not read_back(record(b"x", headers=[("dead_letter.sent_back", b"a:1:1")])).sent_back


def test_a_dead_letter_that_its_topic_refuses_is_retried_smaller_until_it_is_accepted() -> None:
    sizes: list[int] = []

    async def publish_batch(topic: str, partition: int, records: Sequence[Any]) -> None:
        sizes.append(len(records[0][1]))
        if sizes[-1] > 100_000:
            raise Poison("larger than it takes")

    producer = SimpleNamespace(publish_batch=publish_batch)
    ports = Adapters(SimpleNamespace(producer=producer, snapshots=None, settings=Settings()))  # type: ignore[arg-type]
    for _ in range(10):
        try:
            asyncio.run(ports.dead_letter([DeadLetter(record(NOISE[:900_000]), 2, "why")]))
            break
        except LogUnavailable:
            continue
    assert sizes[0] == 900_000
    assert 50_000 < sizes[-1] <= 100_000
