"""What a verdict says was known of its customer is what the log says, whatever dies while it is decided."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from history.transactions import DAY
from infra.native import stack
from infra.native.paths import LOGS
from tests.support import commands, http, log
from tests.support.feed import Feed, new_id, partition_of

WORKER, GROUP = "transactions", "transactions"


@pytest.fixture(autouse=True)
def _one_worker_at_the_end() -> Iterator[None]:
    yield
    if stack.current_scale("transactions") > 1:
        stack.scale("transactions", 1)
    if stack.pid(WORKER) is None:
        stack.start(WORKER)


def status_of(transaction_id: str) -> dict[str, Any]:
    """Its record in the log, once it is decided."""
    http.final(transaction_id)
    (status,) = [
        log.decoded(one.value) for one in log.read(log.STATUS) if log.id_of(one) == transaction_id.encode()
    ]
    return status


def known(transaction_id: str) -> int:
    """How many transactions of its customer were known when it was decided."""
    return int(status_of(transaction_id)["history"]["known"])


def recomputed() -> dict[str, int]:
    """The counts of `verify --features`; none may differ."""
    code, said = commands.run("verify", "--features", "--json", within=300)
    assert code == 0, said[-2000:]
    return dict(json.loads(said[said.index("{") :])["counts"])


def kill_and_start() -> None:
    stack.kill(WORKER)
    stack.start(WORKER)


@pytest.mark.long
def test_over_a_kill_and_a_rebalance_with_a_backlog_no_feature_differs_from_the_log() -> None:
    before = recomputed()["same"]
    Feed().send(4000)
    log.wait_until(lambda: log.lag(GROUP) < 3500, 60, "the worker is at work")
    kill_and_start()
    stack.scale("transactions", 2)
    log.wait_until(lambda: log.lag(GROUP) == 0, 90, "all of it is done")
    assert recomputed()["same"] - before == 4000


@pytest.mark.long
def test_100_000_transactions_over_6_kills_and_2_rebalances_and_snapshots_are_used() -> None:
    before, feed = recomputed()["same"], Feed()
    for number in range(10):
        feed.send(10_000)
        if number in (1, 2, 4, 5, 7, 9):
            time.sleep(0.5)
            kill_and_start()
        if number in (3, 6):
            stack.scale("transactions", 2 if number == 3 else 1)
    log.wait_until(lambda: log.lag(GROUP) == 0, 300, "all of it is done")
    assert recomputed()["same"] - before == 100_000
    kill_and_start()
    http.final(http.taken())
    read = [
        int(end) - int(start)
        for start, end in re.findall(r"offsets (\d+) to (\d+) read from the log", stack_log())[-4:]
    ]
    assert len(read) == 4
    assert max(read) < 5_000, "the snapshots are not used"


def stack_log() -> str:
    """What the worker has logged."""
    return (LOGS / f"{WORKER}.log").read_text()


def test_each_transaction_sees_what_was_before_it_of_its_customer_and_its_merchant_also_over_a_kill() -> None:
    customer, merchant = {"customer_id": f"seen {time.time()}"}, f"known {time.time()}"
    assert known(http.taken(customer)) == 0
    assert known(http.taken(customer)) == 1
    ids, feed, today = [new_id() for _ in range(60)], Feed(), int(time.time())
    days = [
        today - (10 - place // 6) * DAY for place in range(len(ids))
    ]  # six a day, on ten days, in all partitions
    sold = {"merchant_id": merchant, "value_in_cents": 700}
    log.produce(
        (partition_of(id_), id_.encode(), feed.value(id_, {**sold, "event_timestamp": then}))
        for id_, then in zip(ids, days, strict=True)
    )
    log.wait_until(lambda: log.lag(GROUP) == 0, 60, "all of it is done")
    kill_and_start()
    assert known(http.taken(customer)) == 2

    def now() -> dict[str, int]:
        return dict(status_of(http.taken({"merchant_id": merchant}))["history"])

    log.wait_until(
        lambda: now()["merchant_count_7d"] == 42, 30, "the merchant's days are written down and read"
    )
    found = now()
    assert (found["merchant_count_1d"], found["merchant_count_30d"], found["merchant_mean"]) == (6, 60, 700)
    kill_and_start()
    log.wait_until(lambda: now()["merchant_count_30d"] == 60, 30, "they are read again")
    recomputed()
