"""A worker dies between publish and store, and Redis is emptied before it is back: no status is lost."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator

import pytest
from redis import Redis

from infra.native import stack
from reconciliation import readers
from tests.support import http, log
from tests.support.load import customers

WORKER = "transactions"


@pytest.fixture(autouse=True)
def _the_worker_runs_at_the_end() -> Iterator[None]:
    if stack.current_mode() != "split":
        pytest.fail("this test needs split mode: make down, make up")
    yield
    if stack.pid(WORKER) is None:
        stack.start(WORKER)


def killed_at_work() -> tuple[list[str], set[str]]:
    """What was accepted until the worker died at work, and what of it was published and not stored.

    Killed at a random moment it is often just idle: it is paused until it is between the two steps, then killed.
    """
    before = log.total(log.STATUS)
    with customers(rate=200) as load:
        log.wait_until(lambda: log.total(log.STATUS) > before + 200, 30, "the worker has told some")
        for _ in range(40):
            since = log.ends(log.STATUS)
            time.sleep(
                random.uniform(0, 0.3)
            )  # a micro-batch's length: otherwise each pause would hit the same step
            stack.pause(WORKER)
            time.sleep(0.3)  # what it had sent to Kafka and Cassandra is done
            between = asyncio.run(published_not_stored(set(load.ids), since))
            if between:
                break
            stack.resume(WORKER)
        stack.kill(WORKER)
    return load.ids, between


async def published_not_stored(ids: set[str], since: log.Offsets) -> set[str]:
    """Those of the ids published from these offsets of the status topic on that are not stored."""
    published = {record["transaction_id"] async for record in readers.records(log.STATUS, ids, since)}
    return published - set(await readers.stored(published))


@pytest.mark.long
def test_redis_is_emptied_while_the_worker_is_dead() -> None:
    with Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")) as redis:
        ids, between = killed_at_work()
        assert between, "the worker was never met between the two steps"
        redis.flushdb()
        log.wait_until(lambda: bool(redis.exists("transactions:complete")), 30, "Redis was filled again")
        shown = {id_: http.final(id_, within=1)["status"] for id_ in between}
        stack.start(WORKER)
        log.wait_until(lambda: log.lag(WORKER) == 0, 60, "the worker has caught up")
    published = asyncio.run(readers.published(ids))
    verdicts = {id_: found[0].status for id_, found in published.items()}
    assert shown == {id_: verdicts[id_] for id_ in between}
    assert {id_: http.final(id_)["status"] for id_ in ids} == verdicts
