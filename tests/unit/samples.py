"""Samples for the tests of app/: a transaction, a status, a Kafka record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.messaging import dead_letter_topic
from app.messaging.dead_letters import headers_of
from app.models.assessment import Assessment
from app.models.status import TransactionStatus, decided
from app.models.transaction import Transaction

#: 2021-06-19 05:15:56.000 UTC and the minute it is in.
NOW = 1_624_079_756
MINUTE = NOW // 60

GOOD = Assessment("accepted", 0.9, 0.5, "model-1", "antifraud-1")
BAD = Assessment("rejected", 0.1, 0.5, "model-1", "antifraud-2")


def transaction(**changes: Any) -> Transaction:
    """A transaction of a foreign id, as another producer writes it."""
    one = Transaction(
        transaction_id="16f051bb-14e0-4fda-95e5-507d01ea37dc",
        value_in_cents=39_859_385,
        description="some purchase",
        customer_id="c408a342-5c78-4e31-afc8-c7c710b07340",
        merchant_id="0f3eaa5d-79eb-48bc-ad0d-c775efa3646e",
        transaction_timestamp=1_224_409_756,
        event_timestamp=NOW,
        latitude=93.1334,
        longitude=12.0445,
    )
    return {**one, **changes}  # type: ignore[typeddict-item]


def status(transaction_: Transaction | None = None, offset: int = 7, **changes: Any) -> TransactionStatus:
    """The first verdict on a transaction."""
    one = decided(transaction_ or transaction(), GOOD, 0, offset, NOW * 1000)
    return {**one, **changes}  # type: ignore[typeddict-item]


@dataclass(frozen=True)
class Record:
    """What the pipeline sees of a Kafka record."""

    offset: int
    value: Any = None
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp: int = 0
    key: bytes | None = None


@dataclass(frozen=True)
class StoredDeadLetter:
    """What the commands see of a Kafka record."""

    offset: int
    value: bytes | None
    partition: int = 0
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def dead_letters_of(records: Sequence[Any]) -> list[dead_letter_topic.StoredDeadLetter]:
    """As the command lists them: read twice."""
    sources = dead_letter_topic.DeadLetterSources()
    for record in records:
        sources.add(headers_of(record))
    listed = dead_letter_topic.Listed(sources)
    return [dead_letter for record in records if (dead_letter := listed.dead_letter(record))]
