"""What merchants did in a stretch of the log: the record of topic merchant_totals."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypedDict

from app.models.label import TransactionLabel
from app.models.status import FIRST_VERDICT, TransactionStatus
from history.merchant_totals import MerchantTotals, Total
from history.transactions import day_of

Source = Literal["transaction_status", "transaction_label"]


class Frauds(TypedDict):
    """Transactions of a merchant on one day that were called fraud on another."""

    day: int
    merchant_id: str
    known_on: int
    count: int


class Stretch(TypedDict):
    """One record of merchant_totals (schemas/avro/merchant_totals.avsc)."""

    source: Source
    partition: int
    from_offset: int
    to_offset: int
    totals: list[Total]
    frauds: list[Frauds]


def add_status(totals: MerchantTotals, status: TransactionStatus) -> None:
    """Count it, if it is a first verdict; the customer's first visit is what is on record with it."""
    if status["revision"] == FIRST_VERDICT:
        recorded = status.get("history") or {}
        totals.add(status, is_first_visit=recorded.get("new_merchant") != 0)


def of_statuses(partition: int, from_offset: int, to_offset: int, totals: MerchantTotals) -> Stretch:
    """The record of a stretch of transaction_status."""
    return Stretch(
        source="transaction_status",
        partition=partition,
        from_offset=from_offset,
        to_offset=to_offset,
        totals=totals.largest(),
        frauds=[],
    )


def of_labels(
    partition: int, from_offset: int, to_offset: int, labels: Iterable[TransactionLabel]
) -> Stretch:
    """The record of a stretch of transaction_label.

    What was once called fraud stays so: a label that replaces another one takes nothing back.
    """
    counts: dict[tuple[int, str, int], int] = {}
    seen: set[str] = set()
    for one in labels:
        if one["label"] != "fraud" or one["replaced_label"] == "fraud" or one["transaction_id"] in seen:
            continue
        seen.add(one["transaction_id"])
        day, known_on = day_of(one["event_timestamp"]), day_of(one["labelled_at"] // 1000)
        key = day, one["merchant_id"], known_on
        counts[key] = counts.get(key, 0) + 1
    frauds = [
        Frauds(day=day, merchant_id=merchant_id, known_on=known_on, count=count)
        for (day, merchant_id, known_on), count in counts.items()
    ]
    return Stretch(
        source="transaction_label",
        partition=partition,
        from_offset=from_offset,
        to_offset=to_offset,
        totals=[],
        frauds=frauds,
    )
