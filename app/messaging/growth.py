"""Partitions that were added to live topics, and what each of them begins with (docs/decisions/0012).

Where a key belongs depends on how many partitions there are: with 4 → 12 the customers of partition 3 are those of 3, 7
and 11. What was known of the customers of 7 is in partition 3 of transaction_status, up to where 7 begins. The first
status in 7 says up to where that is, in a header: so whoever takes 7, now or in a year, knows the same of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from app.messaging import topics
from app.messaging.partitioner import partition_of
from app.messaging.producer import Headers
from app.messaging.tail_reader import TailReader

#: Of the first status in an added partition.
HEADER = "history-from"
#: Milliseconds that a producer may go on with the old number: other clients look every five minutes.
SWITCHED_WITHIN = 300_000


class WrongCount(Exception):
    """The topics cannot have so many partitions; the text says why."""


class Growth(NamedTuple):
    """From how many partitions to how many."""

    before: int
    after: int

    def checked(self) -> Growth:
        """This one; WrongCount unless the customers of a new partition all come from the same old one."""
        if self.after < self.before:
            raise WrongCount(
                f"there are {self.before} partitions, and Kafka cannot take any away: say a multiple of {self.before}"
            )
        if self.after % self.before:
            next_one = self.before * (self.after // self.before + 1)
            raise WrongCount(
                f"{self.after} is no multiple of {self.before}: customers would also move between the old partitions; "
                f"{next_one} is one"
            )
        return self

    def moves(self, customer_id: str) -> bool:
        """Whether the customer's next transaction is in another partition than the last one."""
        key = customer_id.encode()
        return partition_of(key, self.before) != partition_of(key, self.after)


def ancestors(partition: int, growths: Sequence[Growth]) -> list[int]:
    """Where its customers were before it was added, the oldest first; none for one that was there at first.

    Nor for one that was added without a record: nobody knows how many there were.
    """
    found = []
    for growth in reversed(growths):
        if growth.before <= partition < growth.after:
            partition %= growth.before
            found.append(partition)
    return found[::-1]


def made_with(partition: int, growths: Sequence[Growth]) -> int:
    """How many partitions there were when this one was added: whoever ever belonged in it did so by that number."""
    return next(growth.after for growth in reversed(growths) if growth.before <= partition < growth.after)


@dataclass(frozen=True, slots=True)
class Origin:
    """What the history in an added partition begins with: what others had of its customers, up to these offsets."""

    partition: int
    count: int  # of partitions, when it was added
    until: tuple[tuple[int, int], ...]  # (partition of transaction_status, offset), the oldest first

    def has(self, customer_id: str) -> bool:
        """Whether the customer belongs in this partition."""
        return partition_of(customer_id.encode(), self.count) == self.partition

    @property
    def headers(self) -> Headers:
        """For its first status."""
        return [(HEADER, json.dumps({"count": self.count, "until": self.until}).encode())]

    @classmethod
    def of(cls, first: Any) -> Origin | None:
        """What the first record of a status partition says; None for a partition that was there at first."""
        said = dict(first.headers or ()).get(HEADER)
        if said is None:
            return None
        found = json.loads(said)
        return cls(first.partition, found["count"], tuple((one, offset) for one, offset in found["until"]))


def encoded(growth: Growth) -> bytes:
    """A record of PARTITIONS_ADDED."""
    return json.dumps(growth._asdict()).encode()


async def growths(tail: TailReader) -> list[Growth]:
    """All that are on record, the oldest first; the topic PARTITIONS_ADDED must be there. LogUnavailable."""
    found: list[Growth] = []

    async def take(records: Iterable[Any]) -> None:
        found.extend(Growth(**json.loads(record.value)) for record in records)

    await tail.read_on(topics.PARTITIONS_ADDED, 0, 0, take)
    return found
