"""Records as the pipeline makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from app.messaging.tail_reader import TailReader
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from tests.support import feed


def status(transaction_id: str, **changes: Any) -> TransactionStatus:
    """A first verdict on a transaction with that id."""
    record = {
        **feed.record(transaction_id),
        "status": "accepted",
        "revision": 1,
        "decided_at": 1_700_000_000_000,
        "score": 0.75,
        "reason": None,
        "model_version": "a-model",
        "threshold": 0.5,
        "replica": "antifraud-1",
        "reasons": None,
        "source_partition": 2,
        "source_offset": 7,
    }
    return cast(TransactionStatus, {**record, **changes})


def transaction_of(of: TransactionStatus) -> Transaction:
    """The transaction of a status."""
    return cast(Transaction, {name: of[name] for name in Transaction.__annotations__})  # type: ignore[literal-required]


async def read_back(
    tail: TailReader, topic: str, partition: int, enough: Callable[[Any], bool] = lambda _: False
) -> list[Any]:
    """The partition's newest records, oldest first: all, or back to the step for which `enough` is true."""
    found: list[Any] = []

    async def take(records: Sequence[Any]) -> bool:
        found[:0] = records
        return enough(records)

    await tail.read_back(topic, partition, take)
    return found
