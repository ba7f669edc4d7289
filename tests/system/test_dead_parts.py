"""What a dead part costs: each is killed or hung while customers go on buying, and then everything is counted.

The worker's own death is in test_worker_recovery.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest
import redis

from infra.native import parts, places, stack, supervisor
from infra.native.folders import LOGS
from infra.native.places import PATH
from tests.support import http, log
from tests.support.feed import Feed
from tests.support.load import Load, nothing_lost
from tests.support.relay import Relay
from tests.system.test_metrics import risen, scraped
from tests.system.test_worker_recovery import Backlog, decided

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
REPLICAS = ("antifraud-1", "antifraud-2")
GROUP = "transactions"
WRITTEN = "payments_cassandra_requests_total"


@pytest.fixture(autouse=True)
def _whole_again() -> Iterator[None]:
    """Whatever a test did, the next one finds every part running."""
    if stack.current_form() != "two":
        pytest.fail("these tests need the form of two workers: make down, make up")
    yield
    for name, part in parts.states().items():
        if part.state == "paused":
            stack.resume(name)
    if stack.current_scale() > 1:
        stack.scale(1)
    whole()


def kill(*names: str) -> None:
    for name in names:
        stack.kill(name)


def whole() -> None:
    """Start all that is dead, side by side, and wait until all is ready that is not hung."""
    known = parts.states().items()
    stack.up(only=[name for name, part in known if name != "generator" and part.state != "paused"])


class Said:
    """What a part writes into its log from now on."""

    def __init__(self, part: str) -> None:
        self._path = LOGS / f"{part}.log"
        self._begin = self._path.stat().st_size

    def lines(self, *words: str) -> list[str]:
        """The lines with all of these words."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]


def p99(seconds: list[float]) -> float:
    return sorted(seconds)[int(len(seconds) * 0.99)]


# Kafka


def test_kafka_dead_is_told_in_time_and_no_201_is_false() -> None:
    with Load() as load:
        time.sleep(1)
        usual = load.slowest()
        kill("kafka")
        died = time.monotonic()
        answer = http.post()
        assert answer.status == 503
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
        assert load.ids[0] in {entry["transaction_id"] for entry in http.page(limit=1000)["transactions"]}
        while time.monotonic() < died + 5:
            assert (http.shown(load.ids[0]) or {})["transaction_id"] == load.ids[0]
            time.sleep(0.5)
        dead = load.answered_since(died + 0.5)
        stack.start("kafka")
        log.wait_until(lambda: load.answered_since(time.monotonic() - 1)[-5:] == [201] * 5, 30, "taken again")
    print(f"{len(dead)} refused, slowest answer {load.slowest():.2f} s")  # noqa: T201
    assert set(dead) == {503}
    assert {answer.status for answer in load.answers} == {201, 503}
    assert load.slowest() < 2.5 + 2 * usual
    nothing_lost(load.ids)


# Cassandra


def test_one_two_and_all_cassandra_nodes_dead() -> None:
    before, began = {"transactions": scraped("transactions")}, time.monotonic()
    with Load(rate=10) as load:
        for node in NODES[:2]:
            kill(node)
            one_more_is_decided_and_read_from_cassandra()
        assert risen(before, "transactions", WRITTEN, request="write", consistency="LOCAL_ONE") > 0
        log.wait_until(redis_is_complete, 20, "Redis is complete")
        kill(NODES[2])
        died = time.monotonic()
        while time.monotonic() < died + 3:
            mine = http.taken()
            time.sleep(0.3)
            page = http.page()
            assert page["source"] == "redis"
            assert mine in _listed(page)
        assert set(load.answered_since(began)) == {201}
        whole()
    nothing_lost(load.ids)


def redis_is_complete() -> bool:
    answer = http.call("GET")
    return answer.status == 200 and answer.json["source"] == "redis"


def one_more_is_decided_and_read_from_cassandra() -> None:
    """Long before the nodes that live have noticed who is dead, which takes up to 20 s."""
    mine, within = http.taken(), 12.0
    log.wait_until(lambda: status_of(mine) in http.FINAL, within, "decided")
    stack.pause("redis")
    log.wait_until(lambda: mine in listed_at_all(), within, "read from Cassandra")
    stack.resume("redis")


def status_of(transaction_id: str) -> str | None:
    """What GET shows, if it can: one that meets a node at the moment it dies may have to be asked again."""
    answer = http.call("GET", f"{PATH}/{transaction_id}")
    return str(answer.json["status"]) if answer.status == 200 else None


def listed_at_all() -> set[str]:
    """Likewise, of a list that comes from Cassandra."""
    answer = http.call("GET")
    return _listed(answer.json) if answer.status == 200 and answer.json["source"] == "cassandra" else set()


# Redis


class Call(NamedTuple):
    """When a GET began and how long it took; beside it one that asks no other part: how busy the machine is."""

    at: float
    took: float
    bare: float


def timed_gets(seconds: float) -> list[Call]:
    """GET again and again."""
    began, calls = time.monotonic(), list[Call]()
    while (start := time.monotonic()) < began + seconds:
        http.page()
        between = time.monotonic()
        http.call("GET", "/health/live")
        calls.append(Call(start - began, between - start, time.monotonic() - between))
    return calls


def listed_by_cassandra() -> set[str]:
    """A list that comes from there, and says what it may lack."""
    page = http.page()
    assert (page["source"], page["pending_may_be_missing"]) == ("cassandra", True)
    assert page["transactions"]
    return _listed(page)


def never_shortened(known: set[str], seconds: float) -> None:
    """Every list has all of these, until it has been Redis's for so long."""
    deadline, ends = time.monotonic() + 30, 0.0
    while not ends or time.monotonic() < ends:
        page = http.page(limit=1000)
        assert known <= _listed(page), (
            f"{len(known - _listed(page))} are missing in a list of {page['source']}"
        )
        if page["source"] == "redis" and not ends:
            ends = time.monotonic() + seconds
        assert time.monotonic() < deadline, "never complete again"


def _listed(page: dict[str, Any]) -> set[str]:
    return {entry["transaction_id"] for entry in page["transactions"]}


def outage_of_redis(outage: Callable[[], AbstractContextManager[None]], quick_after: float) -> None:
    """Each GET meanwhile is answered by Cassandra, within the contract's bounds; afterwards no list is ever short."""
    with Load(rate=10) as load:
        log.wait_until(lambda: len(load.ids) > 10, 10, "some are there")
        with outage():
            calls = timed_gets(4)
            seen = listed_by_cassandra()
        never_shortened(seen, 2)
    busy = p99([call.bare for call in calls])
    most, later = (
        max(call.took for call in calls),
        p99([call.took for call in calls if call.at >= quick_after]),
    )
    print(f"{len(calls)} GETs, most {most:.2f} s, later p99 {later:.3f} s; bare calls {busy:.3f} s")  # noqa: T201
    assert most < 1 + 3 * busy
    assert later < 0.2 + 3 * busy
    assert {answer.status for answer in load.answers} == {201}
    nothing_lost(load.ids)


@contextmanager
def refused() -> Iterator[None]:
    kill("redis")
    yield
    supervisor.start("redis")


@contextmanager
def hung() -> Iterator[None]:
    stack.pause("redis")
    yield
    stack.resume("redis")


def test_redis_refused() -> None:
    outage_of_redis(refused, quick_after=0)


def test_redis_hung() -> None:
    outage_of_redis(hung, quick_after=1)


def test_redis_silent() -> None:
    with Relay(6379) as relay:
        stack.stop("bff")
        stack.start("bff", {"REDIS_URL": f"redis://127.0.0.1:{relay.port}/0"})
        try:
            outage_of_redis(relay.silent, quick_after=1)
        finally:
            stack.restart("bff")


def test_redis_back_but_empty_never_shortens_the_list() -> None:
    known = {http.taken() for _ in range(50)}
    nothing_lost(sorted(known))
    with Load(rate=30) as load:
        log.wait_until(lambda: len(load.ids) > 5, 10, "customers are there")
        log.wait_until(lambda: http.page()["source"] == "redis", 20, "Redis is complete")
        redis.Redis().flushall()
        never_shortened(known, 2)
    nothing_lost([*known, *load.ids])


def test_redis_empty_while_some_are_pending() -> None:
    stack.stop("transactions")
    waiting = {http.taken() for _ in range(5)}
    log.wait_until(lambda: waiting <= _listed(http.page()), 5, "shown as pending")
    redis.Redis().flushall()
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        page = http.page()
        assert waiting <= _listed(page) or page["pending_may_be_missing"], "pending ones are missing, unsaid"
    stack.start("transactions")
    nothing_lost(sorted(waiting))


# Antifraud and Envoy


def assessments(ids: list[str]) -> list[dict[str, Any]]:
    return [http.final(id_, within=30) for id_ in ids]


def test_one_then_both_antifraud_replicas_dead() -> None:
    with Load(rate=20) as load:
        time.sleep(1)
        kill("antifraud-1")
        time.sleep(0.5)
        at = len(load.ids)
        time.sleep(3)
    found = assessments(load.ids)
    assert {answer.status for answer in load.answers} == {201}
    assert [entry for entry in found if entry["reason"]] == [], "falsely rejected"
    assert {entry["replica"] for entry in found[at:]} == {"antifraud-2"}
    nobody_can_assess_without("antifraud-2")
    nothing_lost(load.ids)


def test_envoy_dead() -> None:
    nobody_can_assess_without("envoy")


def nobody_can_assess_without(part: str) -> None:
    """After it is killed all are rejected with the reason, after a bounded patience and with one line in the log."""
    said = Said("transactions")
    kill(part)
    time.sleep(0.5)
    with Load(rate=20) as load:
        began = time.monotonic()
        first = http.final(http.taken(), within=30)
        patience = time.monotonic() - began
        time.sleep(1)
    assert {answer.status for answer in load.answers} == {201}
    assert patience > 4
    for entry in [first, *assessments(load.ids)]:
        assert (entry["status"], entry["reason"]) == ("rejected", "antifraud_unavailable")
    assert len(said.lines("ERROR", "No antifraud replica answers")) == 1
    whole()
    log.wait_until(lambda: http.final(http.taken(), within=20)["reason"] is None, 20, "assessed again")
    nothing_lost(load.ids)


# The transactions worker, hung and back


@contextmanager
def another_threshold(value: str) -> Iterator[None]:
    """Both replicas are killed and come back deciding otherwise, side by side; at the end they are as before."""
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
    stack.scale(2)
    log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 30, "each has two partitions")
    for node in NODES:
        stack.pause(node)  # nothing is stored, so that what is decided waits in the worker, untold
    backlog = Backlog(16_000)
    backlog.caught_in_the_middle()
    time.sleep(1)
    stack.pause("transactions")
    for node in NODES:
        stack.resume(node)
    backlog.was_in_the_middle()
    with another_threshold("0.99999"):
        log.wait_until(lambda: list(map(len, log.members(GROUP))) == [4], 40, "the other has all")
        log.wait_until(lambda: log.lag(GROUP) == 0, 60, "the other has decided all")
        before = asyncio.run(places.told(backlog.ids))
        stack.resume("transactions")
        log.wait_until(lambda: sorted(map(len, log.members(GROUP))) == [2, 2], 40, "it is back")
        time.sleep(1)
        after = decided(backlog.ids)
    assert after == before


# The bff


def test_bff_dead_and_back() -> None:
    with Load(rate=20) as load:
        time.sleep(1)
        kill("bff")
        with pytest.raises(ConnectionRefusedError):
            http.post()
        ids = Feed().send(100)
        log.wait_until(lambda: log.lag(GROUP) == 0, 30, "decided meanwhile")
        whole()
    log.wait_until(lambda: ids.keys() <= _listed(http.page(limit=1000)), 20, "they reach the list")
    assert http.page()["source"] == "redis"
    nothing_lost([*load.ids, *ids])


# The registry


def test_registry_dead() -> None:
    kill("registry")
    mine = [http.taken() for _ in range(20)]
    assert {http.final(id_, within=10)["reason"] for id_ in mine} == {None}
    kill("bff")
    said = Said("bff")
    supervisor.start("bff")  # `stack.start` would wait until it is ready
    log.wait_until(lambda: bool(said.lines("Waiting for the schema registry")), 30, "the bff says so")
    assert http.call("GET", "/health/live").status == 200
    assert http.call("GET", "/health/ready").status == 503
    assert http.post().status == 503
    whole()
    assert http.call("GET", "/health/ready").status == 200
    nothing_lost([*mine, http.taken()])


# A status that cannot be sent


@contextmanager
def a_topic_that_takes_nothing() -> Iterator[None]:
    """Every status is larger than transaction_status takes; the marks that end Kafka's transactions are not.

    min.insync.replicas would not do: of a topic with one replica Kafka asks for no more than that one.
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
    stack.start("transactions", {"RETRY_MOST": "0.2"})
    yield
    stack.restart("transactions")


@pytest.mark.usefixtures("_hasty_worker")
def test_a_status_that_cannot_be_sent_is_an_error_after_ten_more_tries_and_loses_nothing() -> None:
    said, committed = Said("transactions"), log.committed(GROUP)
    with a_topic_that_takes_nothing():
        mine = [http.taken() for _ in range(20)]
        log.wait_until(lambda: bool(said.lines("tell failed 10 times more")), 60, "the error is told")
        time.sleep(2)
        assert len(said.lines("ERROR", "tell failed 10 times more")) == 1
        assert {(http.shown(id_) or {})["status"] for id_ in mine} == {"pending"}
        assert log.committed(GROUP) == committed
    nothing_lost(mine)
    told = asyncio.run(places.told(mine))
    assert {len(verdicts) for verdicts in told.values()} == {1}
