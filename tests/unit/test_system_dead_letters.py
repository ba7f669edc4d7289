"""The newest dead letters within bounds, and which of them may be sent back."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import tracemalloc
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import LogUnavailable
from app.messaging.dead_letter_topic import SENT_BACK
from app.messaging.dead_letters import MOST as BYTES_MOST
from app.messaging.dead_letters import dead_letter_of
from app.system import dead_letters
from app.system.dead_letters import (
    AT_ONCE,
    MOST,
    SHOWN_BYTES,
    CannotBeSentBack,
    DeadLetters,
    NoSuchDeadLetter,
    Tail,
    chosen,
    near,
    short,
    shown,
    text_of,
)
from app.web.system_models import DeadLetterList
from tests.unit import samples

NOISE = random.Random(1).randbytes(2 * BYTES_MOST)


def record(
    offset: int, value: bytes | None = b"garbage", key: bytes | None = b"k", partition: int = 0
) -> Any:
    """A record of the topic: a dead letter of the source with the same offset."""
    headers = [("theirs", b"x")]
    topic = "transaction_created"
    original = SimpleNamespace(
        topic=topic, partition=partition, offset=offset, key=key, value=value, headers=headers
    )
    key, value, ours = dead_letter_of(original, "why")
    return samples.StoredDeadLetter(offset, value, partition, key, ours)


def mark(offset: int, of: int) -> Any:
    name = f"transaction_created:0:{of}".encode()
    return samples.StoredDeadLetter(offset, None, 0, b"k", [(SENT_BACK, name)])


def tail(*records: Any) -> Tail:
    return asyncio.run(DeadLetters(resources(records))._read())


def resources(records: Sequence[Any]) -> Any:
    async def newest(
        topic: str, partition: int, most: int, at_once: int, take: Callable[[Any], None]
    ) -> None:
        found = [one for one in records if one.partition == partition][-most:]
        for start in range(0, len(found), at_once):
            take(found[start : start + at_once])

    async def partition_counts(_: Sequence[str]) -> list[int]:
        return [4]

    return SimpleNamespace(
        tail=SimpleNamespace(newest=newest), producer=SimpleNamespace(partition_counts=partition_counts)
    )


def test_the_list_has_what_was_not_sent_back_newest_first_and_at_most_a_hundred() -> None:
    records = [*map(record, range(150)), mark(150, of=149), mark(151, of=0)]
    found = asyncio.run(DeadLetters(resources(records)).newest())
    assert found["total"] == 148
    assert len(found["dead_letters"]) == MOST
    DeadLetterList.model_validate_json(json.dumps(found), strict=True)
    assert not {"0:0", "0:149"} & {one["id"] for one in found["dead_letters"]}
    assert found["dead_letters"][0]["origin"] == {
        "topic": "transaction_created",
        "partition": 0,
        "offset": 148,
    }


def test_one_is_shown_with_its_bytes_and_its_text_if_it_is_text() -> None:
    (one,) = tail(record(7, "é\n".encode())).dead_letters
    found = shown(one)
    assert (found["id"], found["reason"], found["key"], found["bytes"]) == ("0:7", "why", "k", 3)
    assert (base64.b64decode(found["base64"]), found["text"]) == ("é\n".encode(), "é\n")
    (binary,) = tail(record(7, b"\x00\xff", None)).dead_letters
    assert "text" not in shown(binary)
    assert shown(binary)["key"] is None


@pytest.mark.parametrize("value", [b"x" * 900_000, b"x" * 5_000_000])
def test_a_large_one_is_shown_by_its_beginning_and_its_size_is_the_originals(value: bytes) -> None:
    (one,) = tail(record(7, value, key=b"k" * 1000)).dead_letters
    found = shown(one)
    assert (found["bytes"], base64.b64decode(found["base64"])) == (len(value), b"x" * SHOWN_BYTES)
    assert len(found["key"]) == dead_letters.KEY_BYTES
    assert found["can_be_sent_back"]


def test_what_is_kept_of_a_record_is_small_whatever_it_unpacks_to() -> None:
    bomb = gzip.compress(bytes(20_000_000), mtime=0)
    headers = [("dead_letter.form", b"gzip"), ("big", bytes(100_000))]
    record = samples.StoredDeadLetter(0, bomb, 0, bytes(100_000), headers)
    tracemalloc.start()
    try:
        kept = short(record)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert len(kept.value or b"") == SHOWN_BYTES
    assert (len(kept.key or b""), kept.headers) == (dead_letters.KEY_BYTES, headers[:1])


def test_text_that_was_cut_in_the_middle_of_a_character_is_text_all_the_same() -> None:
    assert text_of("aé".encode()[:2], is_whole=False) == "a"
    assert text_of("aé".encode()[:2], is_whole=True) is None
    assert text_of(b"\x1b[31m", is_whole=True) is None


def test_all_means_those_that_wait_and_can_be_sent_oldest_first_and_at_most_a_hundred() -> None:
    cut = record(3, NOISE)
    found = chosen(tail(record(1), record(2), cut, mark(4, of=1), record(5)), "all")
    assert [one.place for one in found] == ["0:2", "0:5"]
    assert len(chosen(tail(*map(record, range(150))), "all")) == MOST


def test_one_is_chosen_by_its_id_and_not_twice() -> None:
    some = tail(record(1), record(2), mark(4, of=1))
    assert [one.place for one in chosen(some, "0:2")] == ["0:2"]
    assert chosen(some, "0:1") == []


def test_an_unknown_id_and_a_cut_one_are_refused() -> None:
    with pytest.raises(NoSuchDeadLetter):
        chosen(tail(record(1)), "0:9")
    with pytest.raises(CannotBeSentBack):
        chosen(tail(record(3, NOISE)), "0:3")


def test_what_is_far_apart_is_not_read_at_once() -> None:
    places = [(0, 1), (0, AT_ONCE), (0, AT_ONCE + 1), (0, 10_000), (1, 10_001)]
    records = [SimpleNamespace(partition=partition, offset=offset) for partition, offset in places]
    assert list(near(records)) == [(0, [1, AT_ONCE]), (0, [AT_ONCE + 1]), (0, [10_000]), (1, [10_001])]
    assert list(near([])) == []


def test_they_are_counted_anew_only_when_their_topic_has_grown() -> None:
    looks: list[int] = []

    async def situation() -> list[int | None]:
        found = DeadLetters(resources([record(1)]))
        read = found._read

        async def counted() -> Tail:
            looks.append(1)
            return await read()

        found._read = counted  # type: ignore[method-assign]
        counts = []
        for ends in (None, 1, 1, 1, 2, 2):
            counts.append(found.count(ends))
            await asyncio.sleep(0.01)
        return counts

    assert asyncio.run(situation()) == [None, None, 1, 1, 1, 1]
    assert len(looks) == 2


def test_a_count_that_failed_is_tried_again() -> None:
    async def situation() -> list[int | None]:
        broken, ok = [LogUnavailable("no broker answers")], resources([record(1)])
        ask = ok.producer.partition_counts

        async def partition_counts(names: Sequence[str]) -> Any:
            if broken:
                raise broken.pop()
            return await ask(names)

        ok.producer.partition_counts = partition_counts
        found, counts = DeadLetters(ok), []
        for _ in range(3):
            counts.append(found.count(1))
            await asyncio.sleep(0.01)
        return counts

    assert asyncio.run(situation()) == [None, None, 1]
