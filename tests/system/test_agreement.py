"""Verify finds exactly what was done to a store or to the log, by id and column, and raises no false alarm."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from redis import Redis

from infra.native import stack
from tests.support import commands, log, store
from tests.support.feed import Feed, new_id

WORKER = "transactions"
Finding = tuple[str, str, str, tuple[str, ...]]  # id, problem, where, columns

TABLE = "transactions.transactions"


class Said(NamedTuple):
    """Verify's output."""

    code: int
    findings: set[Finding]
    columns: dict[str, Any]
    summary: Any


def verify() -> Said:
    """One run."""
    code, text = commands.run("verify", "--json")
    said = json.loads(text[text.index('{"findings"') :])  # before it: how far it has come
    found = {
        (f["transaction_id"], f["problem"], f["where"], tuple(sorted(f["columns"]))) for f in said["findings"]
    }
    assert code == (1 if found else 0)
    assert said["agree"] is not bool(found)
    return Said(code, found, {f["transaction_id"]: f["columns"] for f in said["findings"]}, said)


@pytest.fixture(scope="module")
def before() -> set[Finding]:
    """What other tests have left."""
    return verify().findings


@pytest.fixture(autouse=True)
def _the_worker_at_the_end() -> Iterator[None]:
    yield
    if stack.pid(WORKER) is None:
        stack.start(WORKER)


@contextmanager
def redis() -> Iterator[Any]:
    with Redis.from_url(
        os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0"), decode_responses=True
    ) as one:
        yield one


def settle() -> None:
    """Everything is decided, stored and shown."""
    log.wait_until(lambda: log.lag("transactions") == 0, 90, "decided")
    log.wait_until(lambda: log.lag("bff", log.STATUS) == 0, 90, "shown")


def key_of(id_: str) -> str:
    """Its key in Redis: the minute in its id, and the id."""
    return f"{int(id_[:8] + id_[9:13], 16) // 60_000:010d}:{id_}"


class Row:
    """A row changed behind everybody's back, and put back."""

    def __init__(self, id_: str):
        self.was = store.row(id_)
        self._where = (self.was["bucket"], self.was["shard"], id_)
        (written,) = store.query(
            f"SELECT writetime(status) AS at FROM {TABLE} WHERE bucket=%s AND shard=%s AND transaction_id=%s",
            self._where,
        )
        self._at = written["at"]

    def delete(self) -> None:
        # With the row's own time: a deletion at the present time would hide the row when it is written again.
        store.query(
            f"DELETE FROM {TABLE} USING TIMESTAMP {self._at} WHERE bucket=%s AND shard=%s AND transaction_id=%s",
            self._where,
        )

    def put(self, **changes: Any) -> None:
        row = {**self.was, **changes}
        self._at += 1
        marks = ", ".join(["%s"] * len(row))
        names, values = ", ".join(row), tuple(row.values())
        store.query(f"INSERT INTO {TABLE} ({names}) VALUES ({marks}) USING TIMESTAMP {self._at}", values)


def never_published() -> tuple[str, log.Place]:
    """A transaction that the worker's group has skipped."""
    stack.stop(WORKER)
    ((id_, place),) = Feed().send(1).items()
    log.rewind("transactions", {place.partition: place.offset + 1})
    return id_, place


def publish(id_: str, place: log.Place) -> log.Place:
    """Publish what the worker would have published."""
    asked = next(
        r for r in log.read(log.CREATED, {place.partition: place.offset}) if log.id_of(r) == id_.encode()
    )
    decision = {"status": "accepted", "revision": 1, "decided_at": int(time.time() * 1000), "score": 0.9}
    nulls = dict.fromkeys(("reason", "model_version", "threshold", "replica"))
    source = {"source_partition": place.partition, "source_offset": place.offset}
    value = log.framed(
        *log.latest_schema(log.STATUS), {**log.decoded(asked.value), **decision, **nulls, **source}
    )
    (published,) = log.produce([(place.partition, id_.encode(), value)], log.STATUS)
    return published


@pytest.mark.long
def test_it_names_exactly_what_was_done(before: set[Finding]) -> None:
    deleted, moved, renamed = (Feed().send(3)).keys()
    settle()
    unpublished, place = never_published()
    stack.start(WORKER)
    rows = [Row(deleted), Row(moved)]
    rows[0].delete()
    rows[1].put(latitude=1.25)
    stray = new_id()
    with redis() as one:
        text = one.hget("transactions:entries", key_of(renamed))
        one.hset("transactions:entries", key_of(renamed), text.replace("some purchase", "some other"))
        one.hset("transactions:entries", key_of(stray), text.replace(renamed, stray))
        one.zadd("transactions:order", {key_of(stray): 0})

    said = verify()
    assert said.findings - before == {
        (deleted, "missing", "cassandra", ()),
        (moved, "different", "cassandra", ("latitude",)),
        (renamed, "different", "redis", ("description",)),
        (stray, "extra", "redis", ()),
        (unpublished, "missing", "transaction_status", ()),
    }
    assert said.columns[moved] == {"latitude": {"log": rows[1].was["latitude"], "cassandra": 1.25}}

    for row in rows:
        row.put()
    with redis() as one:
        one.hset("transactions:entries", key_of(renamed), text)
        one.hdel("transactions:entries", key_of(stray))
        one.zrem("transactions:order", key_of(stray))
    published = publish(unpublished, place)
    span = (f"{published.partition}:{published.offset}", f"{published.partition}:{published.offset + 1}")
    said_of_one = commands.done(
        "replay", "--into", "cassandra", "--from-offset", span[0], "--to-offset", span[1]
    )
    assert "records 1 in" in said_of_one
    assert verify().findings == before


@pytest.mark.long
def test_what_is_in_flight_is_not_a_difference(before: set[Finding]) -> None:
    stack.stop(WORKER)
    waiting = Feed().send(20)
    said = verify()
    assert said.findings == before
    assert set(said.summary["in_flight"]) == set(waiting)
    assert said.summary["counts"]["in_flight"] == 20

    Feed().send(4000)
    stack.start(WORKER)
    assert verify().findings == before, "while the worker decides"
    settle()
    assert verify().summary["in_flight"] == []
