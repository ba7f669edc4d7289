"""The cost of an outage: each process is killed or hung while customers keep buying; then all is reconciled.

The exercises kill Kafka, Cassandra, Redis and antifraud (test_exercises.py); what they do not show of Cassandra and
Redis has its own files, and the worker's death is in test_worker_recovery.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from exercises.faults import PartLog
from infra.native import stack, supervisor
from reconciliation import readers
from tests.support import http, log
from tests.support.dead import kill, whole
from tests.support.feed import Feed
from tests.support.load import customers, nothing_lost
from tests.system.test_worker_recovery import Backlog, decided

pytestmark = pytest.mark.usefixtures("whole_again")

REPLICAS = ("antifraud-1", "antifraud-2")
GROUP = "transactions"


# The transactions worker, hung and back


@contextmanager
def another_threshold(value: str) -> Iterator[None]:
    """Both replicas are killed and come back with another threshold; at the end they are as before."""
    kill(*REPLICAS)
    try:
        for replica in REPLICAS:
            supervisor.start(replica, {"APPROVED_THRESHOLD": value})
        whole()
        yield
    finally:
        for replica in REPLICAS:
            stack.stop(replica)
        whole()


def test_a_worker_that_wakes_up_with_old_verdicts_in_its_hands_changes_none() -> None:
    stack.scale("transactions", 2)
    log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 30, "each has two partitions")
    backlog = Backlog(30_000)
    backlog.caught_in_the_middle()
    stack.pause("kafka")  # nothing can be published, so that what is decided waits in the worker
    time.sleep(1)
    stack.pause("transactions")
    stack.resume("kafka")
    backlog.was_in_the_middle()
    with another_threshold("0.99999"):
        log.wait_until(lambda: list(map(len, log.members(GROUP))) == [4], 40, "the other has all")
        log.wait_until(lambda: log.lag(GROUP) == 0, 60, "the other has decided all")
        before = asyncio.run(readers.published(backlog.ids))
        stack.resume("transactions")
        log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 40, "it is back")
        time.sleep(1)
        after = decided(backlog.ids)
    assert after == before


# The bff


@pytest.mark.long
def test_bff_dead_and_back() -> None:
    with customers(rate=20) as load:
        time.sleep(1)
        kill("bff")
        with pytest.raises(ConnectionRefusedError):
            http.post()
        ids = Feed().send(100)
        log.wait_until(lambda: log.lag(GROUP) == 0, 30, "decided meanwhile")
        whole()
    log.wait_until(lambda: ids.keys() <= http.listed(http.page(limit=1000)), 20, "they reach the list")
    assert http.page()["source"] == "redis"
    nothing_lost([*load.ids, *ids])


# The registry


@pytest.mark.long
def test_registry_dead() -> None:
    kill("registry")
    mine = [http.taken() for _ in range(20)]
    assert {http.final(id_, within=10)["reason"] for id_ in mine} == {None}
    kill("bff")
    said = PartLog("bff")
    supervisor.start("bff")  # `stack.start` would wait until it is ready
    log.wait_until(lambda: bool(said.lines("Waiting for the schema registry")), 30, "the bff says so")
    assert http.call("GET", "/health/live").status == 200
    assert http.call("GET", "/health/ready").status == 503
    assert http.post().status == 503
    whole()
    assert http.call("GET", "/health/ready").status == 200
    nothing_lost([*mine, http.taken()])


# Envoy


def test_envoy_dead() -> None:
    """All are rejected with the reason, after a bounded patience and with one line in the log."""
    said = PartLog("transactions")
    kill("envoy")
    time.sleep(0.5)
    with customers(rate=20) as load:
        began = time.monotonic()
        first = http.final(http.taken(), within=30)
        patience = time.monotonic() - began
        time.sleep(1)
    assert {answer.status for answer in load.answers} == {201}
    assert patience > 4
    for entry in [first, *(http.final(id_, within=30) for id_ in load.ids)]:
        assert (entry["status"], entry["reason"]) == ("rejected", "antifraud_unavailable")
    assert len(said.lines("ERROR", "No antifraud replica answers")) == 1
    whole()
    log.wait_until(lambda: http.final(http.taken(), within=20)["reason"] is None, 20, "assessed again")
    nothing_lost(load.ids)
