"""What somebody who knows says of a transaction afterwards, fraud or genuine: the record of topic transaction_label."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, get_args

from pydantic import BaseModel, ConfigDict

from app.models.transaction import AHEAD_AT_MOST, IDENTIFIER_MOST

Label = Literal["fraud", "genuine"]
LABELS: tuple[Label, ...] = get_args(Label)


class LabelRequest(BaseModel):
    """The body of POST /api/v1/transactions/{id}/label."""

    model_config = ConfigDict(
        strict=True, extra="ignore", json_schema_extra={"examples": [{"label": "fraud"}]}
    )

    label: Label


class StoredLabel(TypedDict):
    """The label that counts, and the one that it replaced; the columns of table labels (schemas/cql/labels.cql)."""

    transaction_id: str
    label: Label
    labelled_at: int
    replaced_label: Label | None
    replaced_at: int | None


class TransactionLabel(StoredLabel):
    """One record of transaction_label (schemas/avro/transaction_label.avsc)."""

    customer_id: str
    merchant_id: str
    event_timestamp: int
    value_in_cents: int


def labelled(
    transaction: Mapping[str, Any], label: Label, replaced: StoredLabel | None, now_ms: int
) -> TransactionLabel:
    """The record of a label given at `now_ms` to this transaction (as GET shows it), in the place of `replaced`.

    Its time is later than that of the one it replaces, also when clocks differ: so the newest has the highest.
    """
    return TransactionLabel(
        transaction_id=transaction["transaction_id"],
        label=label,
        labelled_at=now_ms if replaced is None else max(now_ms, replaced["labelled_at"] + 1),
        replaced_label=replaced and replaced["label"],
        replaced_at=replaced and replaced["labelled_at"],
        customer_id=transaction["customer_id"],
        merchant_id=transaction["merchant_id"],
        event_timestamp=transaction["event_timestamp"],
        value_in_cents=transaction["value_in_cents"],
    )


def answered(label: StoredLabel) -> dict[str, Any]:
    """What POST answers: the same for each repetition."""
    replaced = label["replaced_label"] and {
        "label": label["replaced_label"],
        "labelled_at": label["replaced_at"],
    }
    return {
        "transaction_id": label["transaction_id"],
        "label": label["label"],
        "labelled_at": label["labelled_at"],
        "replaced": replaced,
    }


def shown_label(label: StoredLabel | None) -> dict[str, Any]:
    """What GET of one transaction shows of it beside the transaction."""
    return {} if label is None else {"label": label["label"], "labelled_at": label["labelled_at"]}


def rank(label: StoredLabel) -> tuple[int, str]:
    """Of several labels of a transaction the one with the highest counts.

    Two of the same millisecond can only be those of two bffs at once: their words decide, as they do in Cassandra,
    where of two values with one write timestamp the greater stays.
    """
    return label["labelled_at"], label["label"]


def newest_labels(labels: Iterable[StoredLabel]) -> dict[str, StoredLabel]:
    """The label that counts of each transaction, by id, whatever the order."""
    found: dict[str, StoredLabel] = {}
    for label in labels:
        held = found.get(label["transaction_id"])
        if held is None or rank(label) > rank(held):
            found[label["transaction_id"]] = label
    return found


def unstorable_label(label: StoredLabel, now: float) -> str | None:
    """Why this record of another producer cannot be a label at `now` (seconds since 1970), or None."""
    if not 1 <= len(label["transaction_id"]) <= IDENTIFIER_MOST:
        return f"transaction_id must have 1 to {IDENTIFIER_MOST} characters"
    if not 0 <= label["labelled_at"] <= (now + AHEAD_AT_MOST) * 1000:
        return "labelled_at must be in milliseconds since 1970, at most an hour ahead"
    return None
