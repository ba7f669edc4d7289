"""What GET /api/v1/system, its charts and the dead letters look like, for the API's description."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from app.system.parts import State
from app.web.response_models import URI_REFERENCE

Time = Annotated[float, Field(description="seconds since 1970 (UTC)")]
Share = Annotated[float, Field(ge=0, le=1)]
Rates = dict[str, float]
Column = list[float | None]


class Part(BaseModel):
    """A part of the system, named as in the Procfile."""

    name: str
    process: Annotated[str, Field(description="the process that it is; main is bff and transactions in one")]
    state: Annotated[State, Field(description="unknown: who could tell does not answer")]
    since: Annotated[
        float, Field(description="seconds since 1970 (UTC): how long it has been seen in this state")
    ]
    since_known: Annotated[
        bool,
        Field(
            description="false: it was in this state when this bff first saw it, and since when is not known"
        ),
    ]
    word: str
    cost: Annotated[str, Field(description="what this costs a client now; empty: nothing")]


class Arrow(BaseModel):
    """What passes from one part to another."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    per_second: float


class StepShares(BaseModel):
    """How a step of a worker has spent the last seconds; the three add up to 1."""

    worker: str
    step: str
    busy: Share
    waiting: Annotated[float, Field(ge=0, le=1, description="between a failed try and the next")]
    idle: Share


class PartitionLag(BaseModel):
    """Of one partition of transaction_created."""

    partition: int
    records: int
    seconds: Annotated[
        float | None, Field(description="age of the oldest record not committed; null: not known")
    ]


class SystemLag(BaseModel):
    """What is not committed yet of transaction_created."""

    records: int
    seconds: Annotated[
        float | None, Field(description="age of the oldest record not committed; null: not known")
    ]
    per_second: Annotated[float | None, Field(description="how it changes, over the last 10 s")]
    seconds_to_zero: Annotated[float | None, Field(description="null: it does not fall")]
    partitions: list[PartitionLag]


class ProblemAnswer(BaseModel):
    """An answer of this bff that was a problem."""

    at: Time
    method: str
    path: Annotated[
        str,
        Field(
            description="as declared, without ids; the beginning of one that is none of ours; other: no HTTP"
        ),
    ]
    status: int
    title: str
    type: Annotated[
        str, Field(description="path of a page that explains it", json_schema_extra=URI_REFERENCE)
    ]
    detail: str
    request_id: str


class Consistency(BaseModel):
    """Requests to Cassandra a second, by the consistency level reached."""

    write: Rates
    read: Rates


class DeadLetterCount(BaseModel):
    """How many dead letters wait among the newest."""

    count: Annotated[int | None, Field(description="null: not counted yet")]


class Unassessed(BaseModel):
    """Transactions rejected with the reason antifraud_unavailable since this bff began and not re-assessed yet."""

    count: int
    since: Annotated[
        float | None,
        Field(description="seconds since 1970 (UTC): when the first of them was decided; null: none"),
    ]


class Truth(BaseModel):
    """Whether all that was acknowledged is true everywhere: counts since the bff began to look."""

    since: float | None
    at: Annotated[float | None, Field(description="when all places were last asked")]
    acknowledged: int
    in_log: int
    decided: int
    dead_letters: int
    stored: int
    readable: int
    pending: int
    lost: int
    twice: int
    state: Literal["ok", "wrong", "unknown"]
    words: str


class SystemState(BaseModel):
    """How the system is, as of the last look."""

    at: Annotated[
        float,
        Field(description="seconds since 1970 (UTC) of the last look; Date less this is the state's age"),
    ]
    parts: list[Part]
    arrows: list[Arrow]
    steps: list[StepShares]
    lag: SystemLag
    assessed_by: Annotated[Rates, Field(description="transactions a second by replica")]
    consistency: Consistency
    answers: Annotated[list[ProblemAnswer], Field(description="newest first, at most 100")]
    dead_letters: DeadLetterCount
    unassessed: Unassessed
    truth: Truth | None = None


class StateMark(BaseModel):
    """A part went down, or came back."""

    at: Time
    part: str
    state: Literal["down", "up"]


class SystemSeries(BaseModel):
    """The last 15 minutes in columns of equal length; null where nothing is known. Latencies in seconds."""

    every: Annotated[float, Field(description="seconds from one point to the next, from now on")]
    at: list[float]
    posts: Column
    verdicts: Column
    post_p50: Column
    post_p99: Column
    end_to_end_p50: Column
    end_to_end_p99: Column
    lag: Annotated[list[int | None], Field(description="records")]
    retries: Column
    marks: list[StateMark]


class Origin(BaseModel):
    """The record that could not be processed."""

    topic: str
    partition: int
    offset: int


class DeadLetter(BaseModel):
    """A record that could not be processed and was not sent back."""

    at: Time
    id: Annotated[str, Field(description="partition:offset, to send it back by")]
    reason: str
    origin: Origin
    key: str | None
    bytes: Annotated[int, Field(description="of the whole value")]
    base64: Annotated[str, Field(description="of the value's first 4,096 bytes")]
    can_be_sent_back: Annotated[bool, Field(description="false: it is cut, or a batch that nobody can read")]
    text: Annotated[str, Field(description="the same bytes, if they are text")] = ""


class DeadLetterList(BaseModel):
    """The newest dead letters, newest first."""

    dead_letters: list[DeadLetter]
    total: Annotated[int, Field(description="how many wait among the newest 500 offsets of each partition")]


class SentBack(BaseModel):
    """They are in transaction_created once more."""

    sent_back: Annotated[int, Field(description="0: it had been sent back before")]
