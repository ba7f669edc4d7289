"""A foreign producer leaves a transaction open: what is behind it is pending, and the reason is reported."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka import AIOKafkaProducer

from exercises.faults import PartLog
from infra.native import ports, stack
from tests.support import commands, http, log
from tests.support.feed import Feed, new_id
from tests.system.test_watchdog import worker

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("whole_again")]

WHERE = 1


@contextmanager
def open_transaction(value: bytes) -> Iterator[None]:
    """A transaction begun in one partition and neither committed nor aborted until this block ends."""
    opened, close = threading.Event(), threading.Event()

    async def hold() -> None:
        producer = AIOKafkaProducer(
            bootstrap_servers=ports.kafka_brokers(), transactional_id=new_id(), transaction_timeout_ms=300_000
        )
        await producer.start()
        await producer.begin_transaction()
        await producer.send_and_wait(log.CREATED, value, b"key", WHERE)
        opened.set()
        await asyncio.to_thread(close.wait)
        await producer.abort_transaction()
        await producer.stop()

    thread = threading.Thread(target=lambda: asyncio.run(hold()))
    thread.start()
    try:
        assert opened.wait(20)
        yield
    finally:
        close.set()
        thread.join(20)


def test_what_waits_and_for_what_is_said_and_it_is_decided_at_the_end() -> None:
    name, url = worker()
    stack.stop(name)
    stack.start(name, {"LIVENESS_TIMEOUT": "5"})
    said, feed, behind = PartLog(name), Feed(), new_id()
    with open_transaction(feed.value(new_id())):
        begins = log.ends(log.CREATED)[WHERE]
        log.produce([(WHERE, behind.encode(), feed.value(behind))])
        log.wait_until(
            lambda: bool(said.lines(f"{log.CREATED}[{WHERE}]", f"open since offset {begins}")), 20, "the line"
        )
        lag = commands.done("lag")
        assert f"open since {begins}" in lag
        verify = commands.begin("verify")
        waits = next(line for line in verify.stdout or () if "waiting at" in line)
        assert f"{log.CREATED}[{WHERE}]@{begins}: a transaction of another producer" in waits
        time.sleep(6)  # longer than LIVENESS_TIMEOUT
        assert http.call("GET", "/health/live", url=url).status == 200  # a restart would not help
        metrics = http.call("GET", "/metrics", url=url).body.decode()
        assert "payments_open_transaction_seconds{" in metrics
        assert http.shown(behind) is None
    http.final(behind, within=20)
    answer, _ = verify.communicate(timeout=60)
    assert "all agree" in answer
