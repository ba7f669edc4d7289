"""Redis is back but empty while transactions are pending; refused, hung, silent, empty under load: exercise 2."""

from __future__ import annotations

import time

import pytest
import redis

from infra.native import stack
from tests.support import http, log
from tests.support.load import nothing_lost

pytestmark = pytest.mark.usefixtures("whole_again")


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


def test_what_was_taken_in_an_outage_by_a_bff_that_ended_is_shown_as_pending() -> None:
    """Its notes were only in its memory; the log has them."""
    stack.stop("transactions")
    stack.kill("redis")
    waiting = {http.taken() for _ in range(5)}
    stack.kill("bff")
    stack.start("redis")
    stack.start("bff")
    deadline = time.monotonic() + 30
    while (page := http.page())["source"] != "redis" or page["pending_may_be_missing"]:
        assert time.monotonic() < deadline, "never complete again"
        time.sleep(0.05)
    assert waiting <= http.listed(page)
    assert {(http.shown(id_) or {}).get("status") for id_ in waiting} == {"pending"}
    stack.start("transactions")
    nothing_lost(sorted(waiting))
