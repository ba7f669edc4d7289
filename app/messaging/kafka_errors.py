"""aiokafka's errors become ours here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import BrokerResponseError, KafkaError, ProducerFenced

from app.errors import LogUnavailable, WaitCancelled, own_cancellation_only
from app.messaging import refusals


@contextmanager
def log_unavailable(what: str, error: type[LogUnavailable] = LogUnavailable) -> Iterator[None]:
    """What Kafka refuses or does not answer in time is LogUnavailable: `what`, and in Kafka's words why."""
    try:
        with own_cancellation_only():
            yield
    except (KafkaError, OSError, TimeoutError, WaitCancelled) as exc:
        raise error(f"{what}: {_why(exc)}") from exc


def _why(exc: BaseException) -> str:
    # The answer of a broker that takes us is not the fault of another one that does not.
    is_answer = isinstance(exc, BrokerResponseError | ProducerFenced) and not exc.retriable
    return repr(exc) if is_answer else refusals.reason() or repr(exc)
