"""The words for failure; nothing else travels up.

PipelineError
├── Transient              keep the work, wait, retry in place
│   ├── AntifraudUnavailable
│   ├── StoreUnavailable   (Cassandra, Redis)
│   │   ├── BeingRebuilt
│   │   └── NotReadableYet
│   ├── Overloaded         (Redis lives: no other store is asked instead)
│   ├── LogUnavailable     (Kafka, the registry)
│   ├── WrongAnswer        (antifraud's answer cannot be used: held until that is fixed)
│   ├── WaitCancelled      (a library gave up what we waited for)
│   └── TooManyDeadLetters (held until somebody has looked)
├── UnknownModel           a command names a model that antifraud has not: it ends
└── Poison                 this record can never be handled: dead letter, go on
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class PipelineError(Exception):
    """What our clients raise; the text says what to do about it."""


class Transient(PipelineError):
    """A neighbour is down or slow: the same step may work later."""


class AntifraudUnavailable(Transient):
    """No antifraud replica answered in time."""


class StoreUnavailable(Transient):
    """Cassandra or Redis did not take or give the rows in time."""


class BeingRebuilt(StoreUnavailable):
    """Cassandra's table was thrown away and is not whole again: what it does not have may exist."""


class Overloaded(Transient):
    """The store lives, and more of us wait for our connections to it than it can serve: wait, ask no other store."""


class NotReadableYet(StoreUnavailable):
    """The stores that answer do not have it, and it may be on its way into them: no reason to say that it is not."""


class LogUnavailable(Transient):
    """Kafka or the registry did not answer in time; whether a record was written is not known."""


class WrongAnswer(Transient):
    """A neighbour refuses the call or answers nonsense: no outage, so nothing is decided by it."""


class WaitCancelled(Transient):
    """A library cancelled what was waited for; nobody wants the task that waited to end."""


class TooManyDeadLetters(Transient):
    """Beyond the limit; whoever raises it has logged what to do."""


class NotPublished(LogUnavailable):
    """The record was never handed to Kafka: it is certainly not in the log."""


class UnknownModel(PipelineError):
    """The replica that was asked has no model of this version; the text says which it has."""


class Poison(PipelineError):
    """A record that no retry can help: not Avro, an unknown schema, a value no row can hold."""


class WrongFile(Exception):
    """A file that a setting names cannot be used; the text says why, and nothing that is in the file."""


@contextmanager
def own_cancellation_only() -> Iterator[None]:
    """A CancelledError that is not meant for this task becomes WaitCancelled.

    A library's future or task that the library cancels raises CancelledError in whoever awaits it: taken for our own
    cancellation it would end a job for good, without a word (a TaskGroup, too, ignores a task that ends so).
    """
    try:
        yield
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise WaitCancelled("a client library cancelled what was waited for") from exc
