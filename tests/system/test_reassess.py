"""Unassessed rejections are corrected when antifraud is back: once, in every store, and for good."""

from __future__ import annotations

import asyncio
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import fastavro
import pytest

from infra.native import stack
from reconciliation import readers
from reconciliation.readers import Verdict
from tests.support import commands, http, log, store
from tests.support.feed import Feed, lowest

WORKER, GROUP = "transactions", "transactions"
REASON = "antifraud_unavailable"


@pytest.fixture(autouse=True)
def _all_up_at_the_end() -> Iterator[None]:
    yield
    for part in ("envoy", WORKER):
        if stack.pid(part) is None:
            stack.start(part)


@contextmanager
def no_antifraud() -> Iterator[None]:
    """Envoy is killed, so that antifraud is unavailable, and started again: faster than killing two replicas."""
    stack.kill("envoy")
    try:
        yield
    finally:
        stack.start("envoy")


def unassessed(count: int) -> dict[str, log.Place]:
    """That many transactions, rejected because no replica answered."""
    with no_antifraud():
        ids = Feed().send(count)
        log.wait_until(lambda: log.lag(GROUP) == 0, 90, "all decided without antifraud")
        published = asyncio.run(readers.published(ids))
    assert {(v.status, v.reason, v.revision) for vs in published.values() for v in vs} == {
        ("rejected", REASON, 1)
    }
    return ids


def distinct(ids: Mapping[str, log.Place]) -> dict[str, set[Verdict]]:
    """What was published for each, without repeats."""
    return {id_: set(verdicts) for id_, verdicts in asyncio.run(readers.published(ids)).items()}


def is_put_right(ids: Mapping[str, log.Place]) -> dict[str, Verdict]:
    """Each has its first and one second verdict, published once; Cassandra has the second; returns the second ones."""
    published = asyncio.run(readers.published(ids))
    assert set(published) == set(ids)
    assert {tuple(v.revision for v in verdicts) for verdicts in published.values()} == {(1, 2)}
    second = {id_: verdicts[1] for id_, verdicts in published.items()}
    assert {v.reason for v in second.values()} == {None}
    assert asyncio.run(readers.stored(ids)) == {id_: v.status for id_, v in second.items()}
    return second


def counted(said: str) -> int:
    """How many transactions a run says it has re-assessed."""
    return int(re.findall(r"^reassess: ([\d,]+) in ", said, re.MULTILINE)[0].replace(",", ""))


def counted_by_the_bff() -> dict[str, Any]:
    """What its state says is rejected unassessed."""
    return dict(http.call("GET", "/api/v1/system").json["unassessed"])


def test_corrected_once_and_shown_everywhere() -> None:
    ids = unassessed(40)
    waiting = counted_by_the_bff()
    assert waiting["count"] >= 40
    assert 0 < waiting["since"] < time.time()
    assert re.search(r"reassess: [\d,]+ transactions would be", commands.done("reassess", "--dry-run"))
    assert {len(verdicts) for verdicts in distinct(ids).values()} == {1}
    assert counted(commands.done("reassess")) >= 40
    second = is_put_right(ids)
    assert {v.status for v in second.values()} == {"accepted", "rejected"}
    for id_ in list(ids)[:5]:
        log.wait_until(lambda id_=id_: (http.shown(id_) or {}).get("revision") == 2, 10, "GET shows it")  # type: ignore[misc]
        assert (http.shown(id_) or {})["reason"] is None
        row = store.row(id_)
        assert (row["revision"], row["reason"]) == (2, None)
        assert (row["source_partition"], row["source_offset"]) == ids[id_]
    log.wait_until(lambda: counted_by_the_bff() == {"count": 0, "since": None}, 10, "the bff counts none")
    ends = log.ends(log.STATUS)
    assert counted(commands.done("reassess")) == 0
    assert log.read(log.STATUS, ends) == []
    redelivered_changes_nothing(ids, second)


def redelivered_changes_nothing(ids: Mapping[str, log.Place], second: Mapping[str, Verdict]) -> None:
    """The worker gets the first records again: it repeats first verdicts, which replace no second one."""
    stack.stop(WORKER)
    log.rewind(GROUP, lowest(ids))
    ends = log.ends(log.STATUS)
    stack.start(WORKER)
    log.wait_until(lambda: log.lag(GROUP) == 0, 60, "the redelivery is done")
    assert log.read(log.STATUS, ends) == [], "published again"
    assert is_put_right(ids) == second
    row = store.row(next(iter(ids)))
    assert (row["revision"], row["reason"]) == (2, None)


@pytest.mark.long
def test_killed_in_the_middle_then_two_at_once_publish_each_verdict_once() -> None:
    ids = unassessed(6000)
    some = log.total(log.STATUS) + 1500  # of batches of 500: the first ones are committed
    run = commands.begin("reassess")
    log.wait_until(lambda: log.total(log.STATUS) > some or run.poll() is not None, 60, "it publishes")
    run.send_signal(signal.SIGKILL)
    run.communicate()
    published = sum(len(verdicts) == 2 for verdicts in distinct(ids).values())
    assert 0 < published < len(ids), f"{published} of {len(ids)}: not the middle"
    runs = [commands.begin("reassess") for _ in range(2)]
    said = [one.communicate(timeout=120)[0] for one in runs]
    assert 0 in {one.returncode for one in runs}, said
    is_put_right(ids)


@pytest.mark.long
def test_a_run_that_died_between_publishing_and_storing_is_completed() -> None:
    before = log.ends(log.STATUS)
    ids = unassessed(40)
    number, schema = log.latest_schema(log.STATUS)
    parsed = fastavro.parse_schema(schema)
    firsts = [(record, log.decoded(record.value)) for record in log.read(log.STATUS, before)]
    assert {said["transaction_id"] for _, said in firsts} == set(ids)
    seconds = [
        (
            record.partition,
            record.key,
            {**said, "revision": 2, "status": "accepted", "reason": None, "score": 0.75},
        )
        for record, said in firsts
    ]
    log.produce(((p, key, log.framed(number, parsed, said)) for p, key, said in seconds), log.STATUS)
    assert {store.row(id_)["revision"] for id_ in list(ids)[:5]} == {1}
    assert counted(commands.done("reassess")) == 0
    assert {v.score for v in is_put_right(ids).values()} == {0.75}
    assert {(row["revision"], row["reason"]) for row in map(store.row, list(ids)[:5])} == {(2, None)}


@pytest.mark.long
def test_held_ones_are_decided_once_antifraud_is_back() -> None:
    stack.stop(WORKER)
    stack.start(WORKER, {"ANTIFRAUD_UNAVAILABLE_POLICY": "hold", "ANTIFRAUD_RETRY_TIMEOUT": "1"})
    with no_antifraud():
        ids = Feed().send(50)
        posted = http.taken()
        with pytest.raises(AssertionError, match="not within"):
            log.wait_until(lambda: log.lag(GROUP) == 0, 6, "decided, though nobody could be asked")
        assert (http.shown(posted) or {})["status"] == "pending"
    assert http.final(posted, within=60)["reason"] is None
    log.wait_until(lambda: log.lag(GROUP) == 0, 60, "all decided")
    published = distinct(ids)
    assert set(published) == set(ids)
    assert {(v.revision, v.reason) for verdicts in published.values() for v in verdicts} == {(1, None)}
    assert {len(verdicts) for verdicts in published.values()} == {1}
    stack.restart(WORKER)
