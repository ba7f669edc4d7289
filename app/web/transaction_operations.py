"""What the calls of app.web.transactions do, for the API's description."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.models.label import LabelRequest
from app.models.status import Status
from app.models.transaction import Identifier, TransactionRequest
from app.web import idempotency
from app.web.openapi import NOT_CHANGED, TAG, Answer, Operation, Parameter
from app.web.paging import DEFAULT_LIMIT, WAIT_MOST
from app.web.response_models import (
    AssessedTransaction,
    Created,
    LabelledTransaction,
    TransactionHistory,
    TransactionPage,
)

#: What is not printable is refused; this is the part of the rest that every client can write.
ID = Annotated[str, Field(min_length=1, max_length=255, pattern="^[A-Za-z0-9._~-]*$")]
KEY = Annotated[str, Field(min_length=1, max_length=255, pattern="^[!-~]*$")]
EVENT_ID = Annotated[
    str, Field(max_length=8000, pattern="^[0-9]{1,6}:[0-9]{1,18}(,[0-9]{1,6}:[0-9]{1,18})*$")
]
#: What a client reads: the hello, a transaction, its verdict, a heartbeat (JSON is shortened).
STREAM = """retry: 1000

event: pending
data: {"transaction_id": "01934f2b-7c5e-7a64-9d0e-5b1c2f3a4d5e", "status": "pending", "revision": 0, …}

id: 0:812,1:790,2:4,3:77
event: status
data: {"transaction_id": "01934f2b-7c5e-7a64-9d0e-5b1c2f3a4d5e", "status": "accepted", "revision": 1, "score": 0.93, …}

: heartbeat
id: 0:812,1:790,2:4,3:77

"""

POST = Operation(
    "postTransaction",
    "Take a transaction",
    {
        201: Answer(
            "It is in the log, on all in-sync replicas, and will be assessed.",
            Created,
            {"Location": "Where the transaction is."},
            {
                "GetTransaction": {
                    "operationId": "getTransaction",
                    "parameters": {"transaction_id": "$response.body#/transaction_id"},
                }
            },
        )
    },
    (
        "invalid-request",
        "body-too-late",
        "idempotency-key-in-progress",
        "body-too-large",
        "idempotency-key-reused",
        "not-acknowledged",
        "idempotency-store-unavailable",
    ),
    (
        Parameter(
            idempotency.HEADER,
            KEY,
            "The same key and body are one transaction for 24 hours, also after a 503 or a crash.",
            "header",
        ),
    ),
    TransactionRequest,
    description="Unknown keys of the body are ignored. Send an Idempotency-Key if you may have to try again.",
    scope="write",
)

FIND = Operation(
    "getTransaction",
    "One transaction with its assessment and label",
    {200: Answer("The transaction.", AssessedTransaction, TAG), 304: NOT_CHANGED},
    ("invalid-request", "transaction-not-found", "read-model-unavailable"),
    (
        Parameter("transaction_id", ID, "The id that the 201 gave.", "path"),
        Parameter(
            "wait",
            Annotated[float, Field(ge=0, le=WAIT_MOST)],
            "Seconds to wait for a verdict; without it the answer comes at once.",
        ),
        Parameter("If-None-Match", str, "The ETag of the answer that the client has.", "header"),
    ),
    description="An id that was answered with 201 is never answered with 404. With `wait` the answer comes as soon as "
    "the transaction is decided, or when the time is over.",
    scope="read",
)

LABEL = Operation(
    "labelTransaction",
    "Say that a transaction was fraud or genuine",
    {
        200: Answer("It had this label already, or another one, which is replaced.", LabelledTransaction),
        201: Answer("It is the transaction's first label.", LabelledTransaction),
    },
    (
        "invalid-request",
        "transaction-not-found",
        "body-too-late",
        "body-too-large",
        "label-not-acknowledged",
        "read-model-unavailable",
    ),
    (Parameter("transaction_id", ID, "The id that the 201 gave.", "path"),),
    LabelRequest,
    description="For those who learn it later: a chargeback, an analyst. The newest label counts; the same one again "
    "changes nothing and is answered as it was. A pending transaction may have one. No verdict is changed by it.",
    scope="label",
)

HISTORY = Operation(
    "getTransactionHistory",
    "A transaction's way, step by step",
    {200: Answer("The steps, in order, and the records in the log.", TransactionHistory)},
    ("invalid-request", "transaction-not-found", "log-unavailable"),
    (Parameter("transaction_id", ID, "The id that the 201 gave.", "path"),),
    description="Read from the log and the stores at each call: for people, not for polling.",
    scope="read",
)

EVENTS = Operation(
    "streamTransactionEvents",
    "Statuses as they are published, as server-sent events",
    {200: Answer("Events until the client hangs up.", "text/event-stream", example=STREAM)},
    ("invalid-request", "too-many-listeners"),
    (
        Parameter("status", Status, "Only events with it."),
        Parameter("customer_id", Identifier, "Only this customer's."),
        Parameter("last_event_id", EVENT_ID, "As Last-Event-ID, for a client that cannot send a header."),
        Parameter("Last-Event-ID", EVENT_ID, "The id of the last event that the client has got.", "header"),
    ),
    description="Event `pending` when a transaction is in the log, `status` when it is decided (data: as GET of one "
    "shows it, and its place in transaction_status), `gap` when events were left out. The id of a `status` is the next "
    "offset of each partition: a client that comes back with it, to any bff, gets each status it has missed, once. A "
    "`pending` has no id: it is sent live only, and who has missed one reads the list. `retry`: milliseconds that a "
    "browser waits before it comes back. A heartbeat, a comment with the newest id, comes every 10 s.",
    scope="read",
)


def list_operation(page_limit: int) -> Operation:
    """GET of the list."""
    limit = Annotated[int, Field(ge=1, le=page_limit, json_schema_extra={"default": DEFAULT_LIMIT})]
    return Operation(
        "listTransactions",
        "The newest transactions",
        {200: Answer("A page, newest first.", TransactionPage)},
        ("invalid-request", "read-model-unavailable"),
        (
            Parameter("limit", limit, "How many at most."),
            Parameter("cursor", str, "The next_cursor of the page before, as it was given."),
            Parameter("status", Status, "Only these."),
            Parameter("customer_id", Identifier, "Only this customer's."),
        ),
        description="With a filter a page may have fewer entries than `limit`, or none, while `next_cursor` is not "
        "null: a request looks through a bounded number of transactions. Go on with the cursor.",
        scope="read",
    )
