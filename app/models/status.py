"""What was decided: the record of topic transaction_status, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict, get_args

from app.models.assessment import Assessment, Verdict
from app.models.reasons import from_text
from app.models.transaction import Transaction, bucket_of
from history.features import FEATURES, UNKNOWN

#: Revisions: the higher wins in every store. A re-assessment adds one.
PENDING = 0
FIRST_VERDICT = 1


Status = Literal["pending", "accepted", "rejected"]
STATUSES: tuple[Status, ...] = get_args(Status)


class Decision(TypedDict):
    """What an assessment makes of a transaction."""

    status: Status
    revision: int
    decided_at: int
    score: float | None
    reason: str | None
    model_version: str | None
    threshold: float | None
    replica: str | None
    reasons: str | None  # see app.models.reasons


class Shadow(TypedDict):
    """What a second model says of a transaction: on record, and acted upon by nobody."""

    shadow_score: NotRequired[float | None]
    shadow_version: NotRequired[str | None]


class StoredStatus(Transaction, Decision):
    """One row of table transactions (schemas/cql/transactions.cql)."""

    source_partition: int
    source_offset: int


class TransactionStatus(StoredStatus, Shadow):
    """One record of transaction_status (schemas/avro/transaction_status.avsc).

    One that is from a row has neither of these, nor a shadow.
    """

    batch_size: NotRequired[int | None]  # how many were assessed in the same call
    history: NotRequired[Mapping[str, int]]  # by the names of history.features
    merchants_as_of: NotRequired[int | None]  # the offset of merchant_totals that the merchant's are by


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


@dataclass(frozen=True, slots=True)
class Filter:
    """Which transactions a client wants; None: all."""

    status: str | None = None
    customer_id: str | None = None

    def fits(self, status: str, customer_id: str) -> bool:
        """Whether one with these is among them."""
        return self.status in (None, status) and self.customer_id in (None, customer_id)


NOTHING_RECORDED: Mapping[str, int] = dict.fromkeys(FEATURES, UNKNOWN)

#: What GET of one transaction shows beside the ten keys.
ASSESSMENT_FIELDS = ("revision", "decided_at", "score", "reason", "model_version", "threshold", "replica")


def decided(
    transaction: Transaction,
    assessment: Assessment,
    partition: int,
    offset: int,
    now_ms: int,
    features: Mapping[str, int] = NOTHING_RECORDED,
    merchants_as_of: int | None = None,
) -> TransactionStatus:
    """The status record of a first verdict on the record at (partition, offset) of transaction_created.

    `features`: what was known of its customer and merchant, by the names of history.features.
    """
    return {
        **transaction,
        **_decision(assessment, FIRST_VERDICT, now_ms),
        "source_partition": partition,
        "source_offset": offset,
        **_shadow(assessment),
        "batch_size": assessment.batch_size,
        "history": features,
        "merchants_as_of": merchants_as_of,
    }


def features_of(status: TransactionStatus) -> list[int]:
    """What was known of its customer, in the order of history.features; -1 is unknown."""
    known = status.get("history") or {}
    return [known.get(name, UNKNOWN) for name in FEATURES]


def shadow_verdict(status: TransactionStatus) -> Verdict | None:
    """What the second model would have decided at the same threshold; None: it has given no score."""
    score, threshold = status.get("shadow_score"), status["threshold"]
    if score is None or threshold is None:
        return None
    return "rejected" if score < threshold else "accepted"


def decided_again(status: TransactionStatus, assessment: Assessment, now_ms: int) -> TransactionStatus:
    """The status record of a re-assessment: the next revision of `status`."""
    decision = _decision(assessment, status["revision"] + 1, now_ms)
    return {**status, **decision, **_shadow(assessment), "batch_size": assessment.batch_size}


def _decision(assessment: Assessment, revision: int, now_ms: int) -> Decision:
    return {
        "status": assessment.verdict,
        "revision": revision,
        "decided_at": now_ms,
        "score": assessment.score,
        "reason": assessment.reason,
        "model_version": assessment.model_version,
        "threshold": assessment.threshold,
        "replica": assessment.replica,
        "reasons": assessment.reasons,
    }


def _shadow(assessment: Assessment) -> Shadow:
    return {"shadow_score": assessment.shadow_score, "shadow_version": assessment.shadow_version}


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
    fields = {field: record[field] for field in ASSESSMENT_FIELDS}  # type: ignore[literal-required]
    return {**fields, "reasons": from_text(record["reasons"])}


def sort_key(transaction_id: str, event_timestamp: int) -> str:
    """Sorts as the list does (its reverse is newest first): the minute, then the id."""
    return f"{bucket_of(transaction_id, event_timestamp):010d}:{transaction_id}"


def place_of(key: str) -> tuple[int, str]:
    """The minute and the id of a sort key."""
    minute, _, transaction_id = key.partition(":")
    return int(minute), transaction_id


def key_of_row(record: Transaction) -> str:
    """The sort key of a record or row."""
    return sort_key(record["transaction_id"], record["event_timestamp"])
