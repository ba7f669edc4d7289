"""What was asked: the client's request, and the record of topic transaction_created."""

from __future__ import annotations

import math
import os
import re
import time
import zlib
from collections.abc import Sequence
from typing import Annotated, TypedDict

from pydantic import BaseModel, ConfigDict, Field, JsonValue

INT64_MAX = 2**63 - 1
#: The last second of the year 9999. A time in milliseconds is beyond it, so it is refused, not taken for a far year.
SECONDS_MAX = 253_402_300_799
#: Degrees either way. The contract's documents send a latitude of 93, its generator up to 100, so a latitude has the
#: bound of a longitude, not 90.
DEGREES_MAX = 180.0

#: Shards of a Cassandra partition's minute: part of the stored data's layout, so not a setting.
SHARDS = 4

#: Seconds that a record's time may be ahead of the worker's clock; lists begin so far ahead of now.
AHEAD_AT_MOST = 3600

#: A record of transaction_created is keyed by its customer_id, so that a customer's transactions are in one partition,
#: in order. Whose record it is, is in this header too, for those who cannot or need not read the value.
ID_HEADER = "transaction_id"

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")

Latitude = Annotated[
    float,
    Field(
        ge=-DEGREES_MAX,
        le=DEGREES_MAX,
        description="degrees, -180 to 180 as a longitude: clients of the old system send latitudes beyond 90",
    ),
]
Longitude = Annotated[float, Field(ge=-DEGREES_MAX, le=DEGREES_MAX, description="degrees, -180 to 180")]
#: Characters a text may have. Larger ones would bring 500 rows beyond what Cassandra takes in one request (16 MB), and
#: the newest transactions beyond what Redis may hold.
DESCRIPTION_MOST, IDENTIFIER_MOST = 1000, 255
_MOST = {"description": DESCRIPTION_MOST, "customer_id": IDENTIFIER_MOST, "merchant_id": IDENTIFIER_MOST}

Identifier = Annotated[str, Field(min_length=1, max_length=IDENTIFIER_MOST)]

#: What a generated client needs to know: not every language's integer has 64 bits.
INT64: dict[str, JsonValue] = {"format": "int64"}
EXAMPLE: dict[str, JsonValue] = {
    "value_in_cents": 39_859_385,
    "description": "some purchase",
    "customer_id": "c408a342-5c78-4e31-afc8-c7c710b07340",
    "merchant_id": "0f3eaa5d-79eb-48bc-ad0d-c775efa3646e",
    "transaction_timestamp": 1_624_079_756,
    "latitude": 93.1334,
    "longitude": 12.0445,
}


class TransactionRequest(BaseModel):
    """The body of POST /api/v1/transactions; strict: no string, fraction or boolean is an integer."""

    model_config = ConfigDict(
        strict=True, extra="ignore", allow_inf_nan=False, json_schema_extra={"examples": [EXAMPLE]}
    )

    value_in_cents: Annotated[int, Field(ge=1, le=INT64_MAX, json_schema_extra=INT64)]
    description: Annotated[str, Field(min_length=1, max_length=DESCRIPTION_MOST)]
    customer_id: Identifier
    merchant_id: Identifier
    transaction_timestamp: Annotated[
        int,
        Field(ge=0, le=SECONDS_MAX, description="seconds since 1970 (UTC)", json_schema_extra=INT64),
    ]
    latitude: Latitude
    longitude: Longitude


class Transaction(TypedDict):
    """One record of transaction_created (schemas/avro/transaction_created.avsc)."""

    transaction_id: str
    value_in_cents: int
    description: str
    customer_id: str
    merchant_id: str
    transaction_timestamp: int
    event_timestamp: int
    latitude: float
    longitude: float


def new_transaction(request: TransactionRequest, now: float | None = None) -> Transaction:
    """The record of an accepted request: a new id, and `now` (seconds since 1970) as its event time."""
    now = time.time() if now is None else now
    return Transaction(
        transaction_id=uuid7(now),
        event_timestamp=int(now * 1000) // 1000,  # as with_id finds it again in the id
        value_in_cents=request.value_in_cents,
        description=request.description,
        customer_id=request.customer_id,
        merchant_id=request.merchant_id,
        transaction_timestamp=request.transaction_timestamp,
        latitude=request.latitude,
        longitude=request.longitude,
    )


def with_id(transaction: Transaction, transaction_id: str) -> Transaction:
    """The record of the same request under a UUIDv7 given to it before, with the event time it had then."""
    seconds = _millis_of(transaction_id) // 1000
    return {**transaction, "transaction_id": transaction_id, "event_timestamp": seconds}


def id_in_key(key: bytes | None) -> str:
    """The transaction_id that a status record's key says, for one whose value is not looked at or cannot be read."""
    return (key or b"").decode(errors="replace")


def id_of_record(key: bytes | None, headers: Sequence[tuple[str, bytes]]) -> str:
    """The transaction_id of a record of transaction_created without its value.

    By its header; without one by its key, which was the id until the records were keyed by customer_id.
    """
    return id_in_key(next((value for name, value in headers if name == ID_HEADER), key))


def same_content(one: Transaction, other: Transaction) -> bool:
    """Whether two records of an id ask for the same, field by field."""
    return all(one[name] == other[name] for name in Transaction.__annotations__)  # type: ignore[literal-required]


def uuid7(now: float) -> str:
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits; its text sorts by time."""
    millis = int(now * 1000)
    random = int.from_bytes(os.urandom(10), "big")
    bits = (millis & 0xFFFFFFFFFFFF) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    text = f"{bits | 0b10 << 62 | random & (2**62 - 1):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def bucket_of(transaction_id: str, event_timestamp: int) -> int:
    """The minute (since 1970) a transaction is filed under: its id's, or its event's for a foreign id."""
    minute = bucket_of_id(transaction_id)
    return event_timestamp // 60 if minute is None else minute


def bucket_of_id(transaction_id: str) -> int | None:
    """The minute in a UUIDv7, or None for an id of another form (as the old system's were)."""
    millis = millis_of_id(transaction_id)
    return None if millis is None else millis // 60_000


def millis_of_id(transaction_id: str) -> int | None:
    """When a UUIDv7 was made, in milliseconds since 1970; None for an id of another form."""
    return _millis_of(transaction_id) if _UUID7.fullmatch(transaction_id) else None


def _millis_of(uuid7_text: str) -> int:
    return int(uuid7_text[:8] + uuid7_text[9:13], 16)


def ages(transactions: Sequence[Transaction], now: float) -> list[float]:
    """How many seconds before `now` each was asked: to the millisecond by its id, else to the second.

    For metrics, at half a microsecond each: an id is taken for a UUIDv7 by its version alone.
    """
    try:
        return [
            now - (int(id_[:8] + id_[9:13], 16) / 1000 if id_[14:15] == "7" else one["event_timestamp"])
            for one in transactions
            if (id_ := one["transaction_id"])
        ]
    except ValueError:  # a foreign id
        return [now - one["event_timestamp"] for one in transactions]


def shard_of(transaction_id: str) -> int:
    """One of SHARDS, from the id alone, so that a busy minute is spread over several partitions."""
    return zlib.crc32(transaction_id.encode()) % SHARDS


def unstorable(transaction: Transaction, now: float | None = None) -> str | None:
    """Why this record of another producer cannot be a transaction at `now` (seconds since 1970), or None."""
    for name, most in _MOST.items():
        if len(transaction[name]) > most:  # type: ignore[literal-required]
            return f"{name} must have at most {most} characters"
    for field in ("latitude", "longitude"):
        if not math.isfinite(transaction[field]):
            return f"{field} is not a finite number"
    if not 1 <= len(transaction["transaction_id"]) <= IDENTIFIER_MOST:
        return f"transaction_id must have 1 to {IDENTIFIER_MOST} characters"
    if transaction["value_in_cents"] < 1:
        return "value_in_cents must be 1 or more"
    return _wrong_time(transaction, time.time() if now is None else now)


def _wrong_time(transaction: Transaction, now: float) -> str | None:
    """A time ahead would be the newest in every list until it has come."""
    if transaction["event_timestamp"] < 0:
        return "event_timestamp must be in seconds since 1970"
    latest = now + AHEAD_AT_MOST
    if transaction["event_timestamp"] > latest:
        return "event_timestamp is more than an hour ahead; it must be in seconds since 1970"
    if (bucket_of_id(transaction["transaction_id"]) or 0) > latest // 60:
        return "transaction_id is a UUIDv7 of a time more than an hour ahead"
    return None
