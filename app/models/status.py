"""What was decided: the record of topic transaction_status, and how it is shown."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from app.models.assessment import Assessment
from app.models.transaction import Transaction, bucket_of

#: Revisions: the higher wins in every store. A re-assessment adds one.
PENDING = 0
FIRST_VERDICT = 1


class TransactionStatus(Transaction):
    """One record of transaction_status (schemas/avro/transaction_status.avsc)."""

    status: Literal["pending", "accepted", "rejected"]
    revision: int
    decided_at: int
    score: float | None
    reason: str | None
    model_version: str | None
    threshold: float | None
    replica: str | None
    source_partition: int
    source_offset: int


class Shown(TypedDict):
    """One entry of GET /api/v1/transactions: these ten keys, as the contract has them."""

    transaction_id: str
    status: str
    customer_id: str
    merchant_id: str
    description: str
    value_in_cents: int
    latitude: float
    longitude: float
    transaction_timestamp: int
    event_timestamp: int


#: What GET of one transaction tells beside the ten keys.
ASSESSMENT_FIELDS = ("revision", "decided_at", "score", "reason", "model_version", "threshold", "replica")


def decided(
    transaction: Transaction, assessment: Assessment, partition: int, offset: int, now_ms: int
) -> TransactionStatus:
    """The status record of a first verdict on the record at (partition, offset) of transaction_created."""
    return {
        **transaction,
        "status": assessment.verdict,
        "revision": FIRST_VERDICT,
        "decided_at": now_ms,
        "score": assessment.score,
        "reason": assessment.reason,
        "model_version": assessment.model_version,
        "threshold": assessment.threshold,
        "replica": assessment.replica,
        "source_partition": partition,
        "source_offset": offset,
    }


def shown(record: Transaction | TransactionStatus, status: str) -> Shown:
    """The ten keys of the contract."""
    return Shown(
        transaction_id=record["transaction_id"],
        status=status,
        customer_id=record["customer_id"],
        merchant_id=record["merchant_id"],
        description=record["description"],
        value_in_cents=record["value_in_cents"],
        latitude=record["latitude"],
        longitude=record["longitude"],
        transaction_timestamp=record["transaction_timestamp"],
        event_timestamp=record["event_timestamp"],
    )


def assessed(record: TransactionStatus) -> dict[str, Any]:
    """How it was decided, for GET of one transaction."""
    return {field: record[field] for field in ASSESSMENT_FIELDS}  # type: ignore[literal-required]


def sort_key(transaction_id: str, event_timestamp: int) -> str:
    """Sorts as the list does (its reverse is newest first): the minute, then the id."""
    return f"{bucket_of(transaction_id, event_timestamp):010d}:{transaction_id}"
