"""What the calls about the system do, for the API's description."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from app.web.openapi import Answer, Operation, Parameter
from app.web.system_models import DeadLetterList, SentBack, SystemSeries, SystemState

PLACE = Annotated[str, Field(pattern="^([0-9]{1,9}:[0-9]{1,18}|all)$")]

STATE = Operation(
    "getSystem",
    "How every part is right now",
    {200: Answer("As of the last look.", SystemState)},
    ("invalid-request",),
    tag="system",
    description="Answered at once, also while every part is down. A part that dies or hangs is shown within 2 s.",
    scope="read",
)

SERIES = Operation(
    "getSystemSeries",
    "The last fifteen minutes",
    {200: Answer("A point each second while somebody asks, else every 5 s.", SystemSeries)},
    ("invalid-request",),
    tag="system",
    scope="read",
)

DEAD_LETTERS = Operation(
    "listDeadLetters",
    "The newest records that could not be processed",
    {200: Answer("Newest first, at most 100.", DeadLetterList)},
    ("invalid-request", "log-unavailable"),
    tag="system",
    scope="admin",
)

SEND_BACK = Operation(
    "sendDeadLetterBack",
    "Send a dead letter back once its cause is fixed",
    {202: Answer("They are in transaction_created once more.", SentBack)},
    (
        "invalid-request",
        "dead-letter-not-found",
        "dead-letter-not-whole",
        "send-back-in-progress",
        "log-unavailable",
    ),
    (
        Parameter(
            "place", PLACE, "The id in the list, or all: the oldest 100 that can be sent back.", "path"
        ),
        Parameter("Content-Type", str, "Must be application/json; the body does not matter.", "header"),
    ),
    tag="system",
    description="May take 10 s: a schema that was missing is asked for again after that.",
    scope="admin",
)
