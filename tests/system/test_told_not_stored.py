"""A worker dies between telling and storing, and Redis is emptied before it is back: no status is forgotten."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator

import pytest
from redis import Redis

from infra.native import places, stack
from tests.support import http, log
from tests.support.traffic import posted

WORKER = "transactions"


@pytest.fixture(autouse=True)
def _the_worker_runs_at_the_end() -> Iterator[None]:
    if stack.current_form() != "two":
        pytest.fail("this test needs the form of two workers: make down, make up")
    yield
    if stack.pid(WORKER) is None:
        stack.start(WORKER)


def killed_at_work() -> tuple[list[str], set[str]]:
    """What was posted while the worker was killed, and what of it was told and not stored."""
    ids: list[str] = []
    load = threading.Thread(target=lambda: ids.extend(posted(1500, 32)))
    before = log.total(log.STATUS)
    load.start()
    log.wait_until(lambda: log.total(log.STATUS) > before + 300, 30, "the worker has told some")
    stack.kill(WORKER)
    load.join()
    told, stored = asyncio.run(places.told(ids)), asyncio.run(places.stored(ids))
    return ids, set(told) - set(stored)


def test_redis_is_emptied_while_the_worker_is_dead() -> None:
    with Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")) as redis:
        for _ in range(5):
            ids, between = killed_at_work()
            if between:
                break
            stack.start(WORKER)
        assert between, "the worker was never met between the two steps"
        redis.flushdb()
        log.wait_until(lambda: bool(redis.exists("transactions:complete")), 30, "Redis was filled again")
        shown = {id_: http.final(id_, within=1)["status"] for id_ in between}
        stack.start(WORKER)
        log.wait_until(lambda: log.lag(WORKER) == 0, 60, "the worker has caught up")
    told = asyncio.run(places.told(ids))
    verdicts = {id_: found[0].status for id_, found in told.items()}
    assert shown == {id_: verdicts[id_] for id_ in between}
    assert {id_: http.final(id_)["status"] for id_ in ids} == verdicts
