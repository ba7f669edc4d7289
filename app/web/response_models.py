"""What answers look like, for the API's description. They are put together as text, for speed; tests compare them.

Further keys may come in any of them: a client ignores those that it does not know.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, JsonValue

from app.models.label import Label
from app.models.status import Status
from app.models.transaction import INT64

URI_REFERENCE: dict[str, JsonValue] = {"format": "uri-reference"}
Score = Annotated[float | None, Field(description="probability that the transaction is good, 0 to 1")]
Milliseconds = Annotated[int, Field(description="milliseconds since 1970 (UTC)")]


class Created(BaseModel):
    """The transaction is in the log."""

    transaction_id: Annotated[str, Field(description="a UUIDv7")]


class Transaction(BaseModel):
    """One entry of the list."""

    transaction_id: str
    status: Annotated[Status, Field(description="pending until it is assessed")]
    customer_id: str
    merchant_id: str
    description: str
    value_in_cents: Annotated[int, Field(json_schema_extra=INT64)]
    latitude: float
    longitude: float
    transaction_timestamp: Annotated[
        int, Field(description="seconds since 1970 (UTC), set by the client", json_schema_extra=INT64)
    ]
    event_timestamp: Annotated[
        int, Field(description="seconds since 1970 (UTC), set by the bff", json_schema_extra=INT64)
    ]


class Reason(BaseModel):
    """What the rejection hangs on."""

    feature: Annotated[str, Field(description="see docs/features.md, or a field of the transaction")]
    value: Annotated[int, Field(json_schema_extra=INT64)]
    words: Annotated[
        str, Field(description="both in words", examples=["4 other purchases in the last minute"])
    ]


class AssessedTransaction(Transaction):
    """A transaction with its assessment; while it is pending, `revision` is 0 and the other keys are missing."""

    revision: Annotated[int, Field(description="0 pending, 1 the first verdict, one more per re-assessment")]
    decided_at: Milliseconds = 0
    score: Score = None
    threshold: Annotated[float | None, Field(description="the score below which it is rejected")] = None
    reason: Annotated[str | None, Field(description="why it was decided without an assessment")] = None
    reasons: Annotated[
        list[Reason], Field(description="why antifraud rejected it, at most three, the strongest first")
    ] = []
    model_version: str | None = None
    replica: Annotated[str | None, Field(description="the replica that assessed it")] = None
    label: Annotated[Label | None, Field(description="what was said of it afterwards; missing: nothing")] = (
        None
    )
    labelled_at: Milliseconds = 0
    label_may_be_missing: Annotated[bool, Field(description="the store of labels does not answer")] = False


class ReplacedLabel(BaseModel):
    """The label that counted until another one was given."""

    label: Label
    labelled_at: Milliseconds


class LabelledTransaction(BaseModel):
    """The label that counts from now on."""

    transaction_id: str
    label: Label
    labelled_at: Milliseconds
    replaced: Annotated[ReplacedLabel | None, Field(description="null: it is the transaction's first label")]


class TransactionPage(BaseModel):
    """A page of the list, newest first."""

    transactions: list[Transaction]
    next_cursor: Annotated[str | None, Field(description="the next page's `cursor`; null: there is none")]
    source: Annotated[Literal["redis", "cassandra"], Field(description="the store that gave it")]
    pending_may_be_missing: Annotated[bool, Field(description="some pending ones may not be shown yet")]
    settled_may_be_missing: Annotated[bool, Field(description="by the word of one replica alone")] = False
    being_rebuilt: Annotated[bool, Field(description="a store is being rebuilt, any may be missing")] = False


class HistoryStep(BaseModel):
    """One step of a transaction's way; each kind of step has further keys."""

    step: Literal["received", "logged", "assessed", "published", "stored", "shown"]
    at_ms: Annotated[int | None, Field(description="milliseconds since 1970 (UTC); null: nobody keeps it")]
    known: Annotated[bool, Field(description="false: `note` says why it is not known")]
    note: str


class LoggedRecord(BaseModel):
    """A record of the log, as bytes and as what they say."""

    topic: str
    partition: int
    offset: int
    schema_id: Annotated[int | None, Field(description="its schema's id in the Schema Registry")]
    bytes: int
    base64: str
    json_: Annotated[dict[str, JsonValue] | None, Field(alias="json")]


class TraceReference(BaseModel):
    """A trace of OpenTelemetry."""

    id: str
    url: Annotated[str | None, Field(description="its page, where the setting TRACE_URL names one")]


class TransactionHistory(BaseModel):
    """Where a transaction has been, and when."""

    transaction_id: str
    steps: list[HistoryStep]
    record: Annotated[LoggedRecord | None, Field(description="of transaction_created")]
    status_record: Annotated[LoggedRecord | None, Field(description="the newest of transaction_status")]
    trace: Annotated[TraceReference | None, Field(description="null: its POST was not sampled for a trace")]


class FieldError(BaseModel):
    """One thing that is wrong with a request."""

    field: str
    reason: str


class Problem(BaseModel):
    """An error (RFC 9457), with the key `error` of the API's first version beside it."""

    type: Annotated[
        str,
        Field(
            description="path of a page that explains it",
            examples=["/problems/invalid-request"],
            json_schema_extra=URI_REFERENCE,
        ),
    ]
    title: str
    status: int
    detail: str
    error: str
    errors: list[FieldError] = []
    request_id: Annotated[str, Field(description="what the log has beside the reason")] = ""


class Alive(BaseModel):
    """The process answers and makes progress."""

    alive: Literal[True]


class Ready(BaseModel):
    """The process can do its work."""

    ready: Literal[True]
    parts: Annotated[dict[str, str], Field(description="a word for each dependency")]
