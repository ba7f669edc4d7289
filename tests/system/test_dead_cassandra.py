"""A row that is on a dead Cassandra node alone is not decided again; one, two, all nodes dead: exercise 1."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from infra.native import stack
from reconciliation.readers import PATH
from tests.support import http, log
from tests.support.dead import kill, whole
from tests.support.load import nothing_lost
from tests.system.test_idempotency import Purchase, verdicts_of
from tests.system.test_metrics import Samples, risen, scraped

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("whole_again")]

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
WRITTEN = "payments_cassandra_requests_total"


def test_decided_once_though_its_row_is_on_the_dead_node_alone() -> None:
    before, purchase = {"transactions": scraped("transactions")}, Purchase()
    kill(NODES[0])
    first = decided_long_before_the_living_know_who_is_dead()
    Purchase().taken(within=40)  # with a key: for up to 20 s the living nodes may still ask the dead one
    unknown_outcome_of(purchase, then_dies=NODES[1])
    second = decided_long_before_the_living_know_who_is_dead()
    log.wait_until(lambda: stepped_down_since(before) > 0, 12, "stored, soon after it is shown")
    kill(NODES[2])
    stack.up(only=NODES[:2])
    id_ = purchase.taken(within=30)  # a quorum of those that are back does not have its row
    assert {record["transaction_id"] for record in purchase.records()} == {id_}
    assert len(purchase.records()) == 2
    assert len(verdicts_of(id_)) == 1
    whole()
    nothing_lost([first, second])


def stepped_down_since(before: Mapping[str, Samples]) -> float:
    return risen(before, "transactions", WRITTEN, request="write", consistency="LOCAL_ONE")


def unknown_outcome_of(purchase: Purchase, then_dies: str) -> None:
    """With its key, answered 503; its record arrives while two nodes are dead, so only the third has its row."""
    stack.pause("transactions")
    stack.pause("kafka")
    assert b"no answer of Kafka" in purchase.post().body
    kill(then_dies)
    stack.resume("kafka")
    stack.resume("transactions")


def decided_long_before_the_living_know_who_is_dead() -> str:
    """The nodes need up to 20 s to notice; Cassandra's driver knows at once."""
    mine, within = http.taken(), 12.0
    log.wait_until(lambda: status_of(mine) in http.FINAL, within, "decided")
    return mine


def status_of(transaction_id: str) -> str | None:
    """What GET shows, if it can: a GET that hits a node at the moment it dies may have to be repeated."""
    answer = http.call("GET", f"{PATH}/{transaction_id}")
    return str(answer.json["status"]) if answer.status == 200 else None
