"""A status that cannot be sent is retried for ever, is one error in the log, and loses nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exercises.faults import PartLog
from infra.native import stack
from reconciliation import readers
from tests.support import http, log
from tests.support.load import nothing_lost

pytestmark = pytest.mark.usefixtures("whole_again")

GROUP = "transactions"


@contextmanager
def a_topic_that_takes_nothing() -> Iterator[None]:
    """Every status is larger than transaction_status accepts; Kafka's transaction markers are not.

    min.insync.replicas would not work: for a topic with one replica Kafka never requires more.
    """
    settings = log.settings(log.STATUS)
    log.set_settings(log.STATUS, {**settings, "max.message.bytes": "100"})
    try:
        yield
    finally:
        log.set_settings(log.STATUS, settings)


@pytest.fixture
def _hasty_worker() -> Iterator[None]:
    """Ten tries in two seconds, not in twenty."""
    stack.stop("transactions")
    stack.start("transactions", {"MAX_RETRY_PAUSE": "0.2"})
    yield
    stack.restart("transactions")


@pytest.mark.usefixtures("_hasty_worker")
@pytest.mark.long
def test_a_status_that_cannot_be_sent_is_an_error_after_ten_more_tries_and_loses_nothing() -> None:
    said, committed = PartLog("transactions"), log.committed(GROUP)
    with a_topic_that_takes_nothing():
        mine = [http.taken() for _ in range(20)]
        log.wait_until(lambda: bool(said.lines("publish failed 10 times more")), 60, "the error is logged")
        time.sleep(2)
        assert len(said.lines("ERROR", "publish failed 10 times more")) == 1
        assert {(http.shown(id_) or {})["status"] for id_ in mine} == {"pending"}
        assert log.committed(GROUP) == committed
    nothing_lost(mine)
    published = asyncio.run(readers.published(mine))
    assert {len(verdicts) for verdicts in published.values()} == {1}
