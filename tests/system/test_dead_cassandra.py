"""One, two and all Cassandra nodes are killed while customers go on buying."""

from __future__ import annotations

import time

import pytest

from infra.native import stack
from infra.native.places import PATH
from tests.support import http, log
from tests.support.dead import kill, whole
from tests.support.load import Load, nothing_lost
from tests.system.test_idempotency import Purchase, verdicts_of
from tests.system.test_metrics import risen, scraped

pytestmark = pytest.mark.usefixtures("whole_again")

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
WRITTEN = "payments_cassandra_requests_total"


def test_one_two_and_all_cassandra_nodes_dead() -> None:
    before, purchase = {"transactions": scraped("transactions")}, Purchase()
    with Load(rate=10) as load:
        kill(NODES[0])
        one_more_is_decided_and_read_from_cassandra()
        unknown_outcome_of(purchase, then_dies=NODES[1])
        began = time.monotonic()
        one_more_is_decided_and_read_from_cassandra()
        assert risen(before, "transactions", WRITTEN, request="write", consistency="LOCAL_ONE") > 0
        kill(NODES[2])
        # Redis was away while one node lived, so that no quorum could say what it had missed: shown all the same.
        log.wait_until(shown_from_redis, 20, "Redis is asked")
        died = time.monotonic()
        while time.monotonic() < died + 3:
            mine = http.taken()
            time.sleep(0.3)
            page = http.page()
            assert page["source"] == "redis"
            assert mine in http.listed(page) or page["pending_may_be_missing"]
        assert set(load.answered_since(began)) == {201}
        stack.up(only=NODES[:2])
        decided_once_though_its_row_is_on_the_dead_node_alone(purchase)
        whole()
    nothing_lost(load.ids)


def unknown_outcome_of(purchase: Purchase, then_dies: str) -> None:
    """With its key, answered 503; its record lands when two nodes are dead, so the one that lives has its row."""
    stack.pause("transactions")
    stack.pause("kafka")
    assert purchase.post().status == 503
    kill(then_dies)
    stack.resume("kafka")
    stack.resume("transactions")


def decided_once_though_its_row_is_on_the_dead_node_alone(purchase: Purchase) -> None:
    """A quorum of those that are back knows nothing of the row, and the client tries again."""
    id_ = purchase.taken(within=30)
    assert {record["transaction_id"] for record in purchase.records()} == {id_}
    assert len(purchase.records()) == 2
    assert len(verdicts_of(id_)) == 1


def shown_from_redis() -> bool:
    """Also what was taken just now: what notes it was held up while Redis was away."""
    mine = http.taken()
    time.sleep(0.3)
    answer = http.call("GET")
    return answer.status == 200 and answer.json["source"] == "redis" and mine in http.listed(answer.json)


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
    return (
        http.listed(answer.json) if answer.status == 200 and answer.json["source"] == "cassandra" else set()
    )
