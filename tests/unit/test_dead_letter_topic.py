"""Dead letters: one per source record, listed plainly, sent back unchanged and once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from app.commands.dead_letters import chosen
from app.messaging import topics
from app.messaging.codec import NO_FOR
from app.messaging.dead_letter_topic import SENT_BACK, dump, sent_back, shown, until_forgotten
from tests.unit.samples import StoredDeadLetter, dead_letters_of

POISON = b"\0garbage\x1b[31m"


def dead_letter(offset: int = 0, source: int = 7, **changes: object) -> StoredDeadLetter:
    headers = [
        ("traceparent", b"00-1"),
        ("dead_letter.topic", b"transaction_created"),
        ("dead_letter.partition", b"2"),
        ("dead_letter.offset", str(source).encode()),
        ("dead_letter.reason", b"not Avro\x1b[31m"),
        ("dead_letter.failed_at", b"1624079756000"),
    ]
    fields = {"value": POISON, "partition": 2, "key": b"k", "headers": headers, **changes}
    return StoredDeadLetter(offset, **fields)  # type: ignore[arg-type]


def as_record(outgoing: tuple[object, ...], offset: int) -> StoredDeadLetter:
    _, partition, key, value, headers = outgoing
    return StoredDeadLetter(offset, value, partition, key, headers)  # type: ignore[arg-type]


def test_two_dead_letters_of_one_source_are_one() -> None:
    found = dead_letters_of([dead_letter(0), dead_letter(1), dead_letter(2, source=8)])
    assert [one.place for one in found] == ["2:0", "2:2"]


def test_a_dead_letter_goes_back_as_the_original_was_and_with_its_mark() -> None:
    (found,) = dead_letters_of([dead_letter()])
    original, mark = sent_back(found)
    assert original == (topics.CREATED, 2, b"k", POISON, [("traceparent", b"00-1")])
    assert mark == (topics.DEAD_LETTER, 2, b"k", None, [(SENT_BACK, b"transaction_created:2:7")])


def test_what_was_sent_back_is_remembered_for_every_dead_letter_of_its_source() -> None:
    _, mark = sent_back(dead_letters_of([dead_letter()])[0])
    found = dead_letters_of([dead_letter(0), as_record(mark, 1), dead_letter(2), dead_letter(3, source=9)])
    assert [(one.place, one.sent_back) for one in found] == [("2:0", True), ("2:3", False)]


def test_a_record_without_a_source_is_not_a_dead_letter() -> None:
    headers = [("dead_letter.topic", b"t"), ("dead_letter.partition", b"x"), ("dead_letter.offset", b"1")]
    assert dead_letters_of([dead_letter(headers=headers), dead_letter(headers=[])]) == []


def test_a_foreign_record_cannot_send_commands_to_the_terminal() -> None:
    (found,) = dead_letters_of([dead_letter(key=b"\x1b[2J")])
    text = shown(found)
    assert "\x1b" not in text
    assert "00 67 61 72 62 61 67 65 1b 5b 33 31 6d" in text
    assert ".garbage.[31m" in text


def test_a_value_may_be_none_or_empty() -> None:
    assert (dump(None), dump(b"")) == ("(no value)", "(empty)")
    assert "no value" in shown(dead_letters_of([dead_letter(value=None, key=None)])[0])


def test_one_is_chosen_by_its_position() -> None:
    dead_letters = dead_letters_of([dead_letter(0), dead_letter(1, source=8)])

    def choose(place: str, of: Sequence[Any] = dead_letters) -> list[str]:
        async def each() -> AsyncIterator[Any]:
            for one in of:
                yield one

        async def main() -> list[str]:
            return [one.place async for one in chosen(each(), place)]

        return asyncio.run(main())

    assert choose("2:1") == ["2:1"]
    assert choose("all") == ["2:0", "2:1"]
    assert choose("all", []) == []
    with pytest.raises(SystemExit, match="no dead letter at 3:1"):
        choose("3:1")


@pytest.mark.parametrize(
    ("seconds_ago", "waits"), [(0, NO_FOR), (NO_FOR - 1, 1), (NO_FOR + 1, 0), (-3600, NO_FOR)]
)
def test_a_dead_letter_is_sent_back_when_the_workers_ask_the_registry_again(
    seconds_ago: float, waits: float
) -> None:
    (found,) = dead_letters_of([dead_letter()])
    assert until_forgotten(found, 1_624_079_756 + seconds_ago) == waits
