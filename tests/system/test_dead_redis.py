"""Redis is back but empty while some are pending, or Cassandra is dead; refused, hung, silent, empty: exercise 2."""

from __future__ import annotations

import time
from typing import Any

import pytest
import redis

from infra.native import stack
from tests.support import http, log
from tests.support.dead import kill, whole
from tests.support.load import nothing_lost

pytestmark = pytest.mark.usefixtures("whole_again")


@pytest.mark.long
def test_redis_empty_while_some_are_pending() -> None:
    stack.stop("transactions")
    waiting = {http.taken() for _ in range(5)}
    log.wait_until(lambda: waiting <= http.listed(http.page()), 30, "shown as pending")
    redis.Redis().flushall()
    deadline, refilled = time.monotonic() + 60, 0.0
    while not refilled or time.monotonic() < refilled + 1:
        assert time.monotonic() < deadline, "never complete again"
        page = http.page()
        if page["source"] == "redis" and not page["pending_may_be_missing"]:
            refilled = refilled or time.monotonic()
        missing = waiting - http.listed(page)
        assert not missing or page["pending_may_be_missing"], f"{len(missing)} pending are missing, unsaid"
    stack.start("transactions")
    nothing_lost(sorted(waiting))


@pytest.mark.long
def test_what_was_taken_in_an_outage_by_a_bff_that_ended_is_shown_as_pending() -> None:
    """Its notes were only in its memory; the log has them."""
    stack.stop("transactions")
    stack.kill("redis")
    waiting = {http.taken() for _ in range(5)}
    stack.kill("bff")
    stack.start("redis")
    stack.start("bff")
    assert waiting <= http.listed(page_of_a_complete_redis())
    assert {(http.shown(id_) or {}).get("status") for id_ in waiting} == {"pending"}
    stack.start("transactions")
    nothing_lost(sorted(waiting))


@pytest.mark.long
def test_an_empty_redis_is_filled_from_the_log_while_all_of_cassandra_is_dead() -> None:
    """The bff is new, so it knows nothing; of the last one nobody has a row."""
    before = {http.taken() for _ in range(5)}
    verdicts = {id_: http.final(id_)["status"] for id_ in before}
    kill("cassandra-1", "cassandra-2", "cassandra-3")
    meanwhile = http.taken()
    verdicts[meanwhile] = http.final(meanwhile, within=60)["status"]
    stack.stop("transactions")
    waits = http.taken()
    stack.stop("bff")
    redis.Redis().flushall()
    stack.start("bff")
    page = page_of_a_complete_redis()
    statuses = {entry["transaction_id"]: entry["status"] for entry in page["transactions"]}
    assert verdicts.items() <= statuses.items()
    assert statuses[waits] == "pending"
    assert {id_: (http.shown(id_) or {}).get("status") for id_ in verdicts} == verdicts
    whole()
    nothing_lost([*verdicts, waits])


def page_of_a_complete_redis(within: float = 30) -> dict[str, Any]:
    """The newest page, once Redis has all of the newest."""
    deadline = time.monotonic() + within
    while True:
        answer = http.call("GET")
        if (
            answer.status == 200
            and answer.json["source"] == "redis"
            and not answer.json["pending_may_be_missing"]
        ):
            return dict(answer.json)
        # With Cassandra dead as well, nobody can answer before the refill is done.
        assert answer.status in (200, 503), answer
        assert time.monotonic() < deadline, "never complete again"
        time.sleep(0.05)
