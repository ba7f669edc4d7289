"""The exercises' own lines, `docker kill …`: what a client is promised meanwhile holds, nothing is lost, none twice."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from exercises.calls import RecordedCalls
from tests.containers.engine import kill, start
from tests.support import http, log
from tests.support.feed import Feed
from tests.support.load import customers, nothing_lost

pytestmark = [pytest.mark.containers, pytest.mark.usefixtures("whole_again")]

NODES = ("scylla-1", "scylla-2", "scylla-3")
GROUP = "transactions"


@contextmanager
def killed(*names: str) -> Iterator[RecordedCalls]:
    """Customers buy before the kill, while these are dead and while they come back; then all is counted."""
    with customers(rate=10) as load:
        time.sleep(1)
        kill(*names)
        yield load
        start(*names)
    # Not before they have ended: while somebody buys, something is nearly always under way on a slow machine.
    log.wait_until(lambda: log.lag(GROUP) == 0, 90, "all are decided")
    nothing_lost(load.ids, within=120)


def statuses(load: RecordedCalls) -> Counter[int]:
    return Counter(answer.status for answer in load.answers)


def decided(within: float = 30) -> dict[str, Any]:
    """A new transaction, once it is final."""
    return http.final(http.taken(), within)


def selected(node: str, transaction_id: str) -> str:
    """What cqlsh prints; nothing if it times out: a living node asks the dead one until it has noticed."""
    line = f"USE transactions; SELECT * FROM transactions WHERE transaction_id = '{transaction_id}';"
    command = ["docker", "exec", node, "cqlsh", "-e", line]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stdout


def test_a_node_of_the_database_is_killed_and_nobody_notices() -> None:
    with killed("scylla-1") as load:
        found = decided()
        id_, status = found["transaction_id"], found["status"]
        log.wait_until(
            lambda: status in selected("scylla-2", id_), 60, "its row, as the exercises ask for it"
        )
    assert set(statuses(load)) == {201}


def test_without_any_node_of_the_database_posts_are_taken_and_the_list_is_answered() -> None:
    with killed(*NODES) as load:
        found = decided()
        page = http.page()
        assert page["source"] == "redis"
        assert found["transaction_id"] in http.listed(page)
    assert set(statuses(load)) == {201}


def test_without_redis_the_list_comes_from_the_database() -> None:
    with killed("redis") as load:
        decided()
        assert http.page()["source"] == "cassandra"
    assert set(statuses(load)) == {201}
    log.wait_until(lambda: http.page()["source"] == "redis", 60, "Redis is complete again")


@pytest.mark.parametrize("replica", ["antifraud-1", "antifraud-2"])
def test_one_antifraud_replica_is_killed_and_none_is_rejected_for_it(replica: str) -> None:
    with killed(replica) as load:
        time.sleep(3)
        mine = load.ids
    assert set(statuses(load)) == {201}
    assert {http.final(id_, within=30)["reason"] for id_ in mine} == {None}


def test_without_envoy_transactions_are_rejected_with_the_reason_and_assessed_again_once_it_is_back() -> None:
    with killed("envoy") as load:
        found = decided(within=60)
        assert (found["status"], found["reason"]) == ("rejected", "antifraud_unavailable")
    assert set(statuses(load)) == {201}
    log.wait_until(lambda: decided()["reason"] is None, 30, "assessed again")


def test_without_the_worker_transactions_stay_pending_and_are_decided_by_the_next_one() -> None:
    with killed("transactions") as load:
        waiting = http.taken()
        time.sleep(3)
        assert (http.shown(waiting) or {})["status"] == "pending"
    assert set(statuses(load)) == {201}
    assert http.final(waiting)["status"] in http.FINAL


def test_the_worker_is_killed_in_the_middle_of_its_work_and_none_is_decided_twice() -> None:
    ids = Feed().send(5000)
    with killed("transactions"):
        assert log.lag(GROUP) > 0, "it was done before it was killed: nothing was tested"
    nothing_lost(list(ids), within=120)


def test_without_the_bff_the_rest_goes_on_and_is_shown_once_it_is_back() -> None:
    ids = Feed().send(200)
    with killed("bff"):
        with pytest.raises(ConnectionRefusedError):
            http.post()
        log.wait_until(lambda: log.lag(GROUP) == 0, 60, "decided meanwhile")
    log.wait_until(lambda: ids.keys() <= http.listed(http.page(limit=1000)), 60, "they reach the list")
    nothing_lost(list(ids))


def test_without_kafka_a_post_is_refused_within_two_seconds_and_the_list_is_answered() -> None:
    with killed("kafka") as load:
        time.sleep(1)
        began = time.monotonic()
        answer = http.post()
        took = time.monotonic() - began
        assert (answer.status, took < 2.5) == (503, True), (answer, took)
        assert http.call("GET").status == 200
    assert set(statuses(load)) == {201, 503}
    assert decided()["reason"] is None


def test_the_registry_is_killed_and_nobody_notices() -> None:
    with killed("registry") as load:
        decided()
    assert set(statuses(load)) == {201}
