"""`make partitions`: what it does after a run that was killed, what it refuses, and whom it names."""

from __future__ import annotations

import pytest

from app.commands.partitions import chosen
from app.messaging import topics
from app.messaging.growth import Growth, WrongCount


def found(created: int, status: int) -> dict[str, int]:
    return {topics.CREATED: created, topics.STATUS: status, topics.DEAD_LETTER: status}


@pytest.mark.parametrize(
    ("there", "known", "count", "then"),
    [
        (found(4, 4), [], 12, Growth(4, 12)),
        (found(4, 12), [], 12, Growth(4, 12)),  # killed behind the first topic
        (found(4, 12), [Growth(4, 12)], 12, Growth(4, 12)),  # killed behind the record
        (found(12, 12), [Growth(4, 12)], 12, Growth(4, 12)),  # killed behind the last topic, or done
        (found(12, 12), [Growth(4, 12)], 24, Growth(12, 24)),
        (found(4, 4), [], 4, None),
        (found(8, 8), [Growth(2, 4)], 8, None),
    ],
)
def test_a_run_goes_on_where_the_one_before_was_killed(
    there: dict[str, int], known: list[Growth], count: int, then: Growth | None
) -> None:
    assert chosen(there, known, count) == then


@pytest.mark.parametrize(
    ("there", "count", "why"),
    [
        (found(4, 4), 6, "6 is no multiple of 4"),
        (found(12, 12), 4, "Kafka cannot take any away"),
        (found(4, 12), 8, "4 → 12 was begun and not ended: say 12"),
        (found(0, 0), 8, "no topics yet"),
        (found(4, 4), 4000, "4000 are more than 1000"),
        (found(4, 4), 0, "Kafka cannot take any away"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_changed(
    there: dict[str, int], count: int, why: str
) -> None:
    with pytest.raises(WrongCount, match=why):
        chosen(there, [], count)
