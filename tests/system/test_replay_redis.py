"""A Redis that was thrown away is complete again after a replay, even one that was killed in between."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from redis import Redis

from infra.native import stack
from reconciliation.readers import PATH
from tests.support import commands, http, log
from tests.support.feed import Feed

WORKER, GROUP = "transactions", "replay-redis"
SLOWLY = ("replay", "--into", "redis", "--rate", "400")


@pytest.fixture(autouse=True)
def _the_worker_at_the_end() -> Iterator[None]:
    yield
    if stack.pid(WORKER) is None:
        stack.start(WORKER)


def page() -> Any:
    """The newest that GET lists, and their source."""
    return http.call("GET", f"{PATH}?limit=500").json


def statuses_of(ids: Mapping[str, log.Place]) -> dict[str, str]:
    """What the list shows for these."""
    return {t["transaction_id"]: t["status"] for t in page()["transactions"] if t["transaction_id"] in ids}


def killed_in_the_middle() -> log.Offsets:
    """Kill a replay in progress; returns how far it had come."""
    before = log.committed(GROUP, log.STATUS)
    running = commands.begin(*SLOWLY)
    try:
        begun = dict.fromkeys(range(log.PARTITIONS), 0)
        log.wait_until(lambda: log.committed(GROUP, log.STATUS) == begun, 60, "at the beginning")
        log.wait_until(lambda: log.committed(GROUP, log.STATUS) != begun, 60, f"begun, {before} before")
    finally:
        running.kill()
    running.wait(10)
    return log.committed(GROUP, log.STATUS)


@pytest.mark.long
def test_redis_is_complete_after_a_replay_that_was_killed_and_resumed() -> None:
    decided = Feed().send(400)
    log.wait_until(lambda: log.lag("transactions") == 0, 90, "decided")
    stack.stop(WORKER)
    pending = Feed().send(5)  # not the bff, which does not know of them
    ends = log.ends(log.STATUS)

    with Redis.from_url(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")) as redis:
        redis.flushdb()
    left = killed_in_the_middle()
    assert page()["source"] == "cassandra", "nobody calls a Redis complete that is not"
    assert set(statuses_of(decided)) == set(decided)

    said = commands.done("replay", "--into", "redis", "--resume")
    assert f"goes on at {', '.join(f'{p}:{at}' for p, at in sorted(left.items()))}" in said
    assert page()["source"] == "redis"
    assert set(statuses_of(decided).values()) <= {"accepted", "rejected"}
    assert statuses_of(pending) == dict.fromkeys(pending, "pending")
    assert log.read(log.STATUS, ends) == [], "a replay publishes nothing"
    assert "nothing to resume" in commands.done("replay", "--into", "redis", "--resume", "--dry-run")
