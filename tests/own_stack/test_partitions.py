"""Partitions are added to live topics, on a stack of this test's own: its topics have more of them for good."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Iterator

import pytest
from aiokafka.partitioner import DefaultPartitioner

from benchmarks import stage
from infra.native import stack
from reconciliation import readers
from tests.support import commands, http, log
from tests.support.feed import Feed, new_id
from tests.system.test_exercises import exercise

pytestmark = pytest.mark.long

_by_key = DefaultPartitioner()


@pytest.fixture(scope="module", autouse=True)
def _own_stack() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPIC_PARTITIONS", "2")
        with stage.ready_and_empty():
            yield


def partition_of(customer: str, count: int) -> int:
    return int(_by_key(customer.encode(), range(count), ()))


def send(customers: dict[str, str], count: int) -> None:
    """A transaction of each customer, by its id, from a producer that knows of so many partitions."""
    feed = Feed()
    log.produce(
        [
            (partition_of(customer, count), customer.encode(), feed.value(id_, {"customer_id": customer}))
            for id_, customer in customers.items()
        ]
    )


def late() -> int:
    """How many verdicts `verify --features` finds in a partition that their customer had left; nothing may differ."""
    code, said = commands.run("verify", "--features", "--json", within=300)
    assert code == 0, said[-2000:]
    return int(json.loads(said[said.index("{") :])["counts"]["late"])


#: Decided before the exercise; their customers move in it.
BEFORE = {
    new_id(): f"moves {n}"
    for n in range(400)
    if partition_of(f"moves {n}", 4) != partition_of(f"moves {n}", 12)
}


def test_a_number_that_is_no_multiple_changes_nothing() -> None:
    code, said = commands.run("partitions", "--count", "3")
    assert code == 1
    assert "3 is no multiple of 2" in said
    assert "4 is one. Nothing was changed." in said


def test_a_command_that_was_killed_is_ended_by_the_next_one() -> None:
    killed = commands.begin("partitions", "--count", "4")
    assert killed.stdout
    next(line for line in killed.stdout if "every bff gets to know" in line)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    code, said = commands.run("partitions", "--count", "8")
    assert (code, "2 → 4 was begun and not ended: say 4" in said) == (1, True), said
    assert "transaction_created 2 → 4" in commands.done("partitions", "--count", "4")
    assert "workers have taken up all 4" in commands.done("partitions", "--count", "4")
    send(BEFORE, 4)
    for id_ in BEFORE:
        assert http.final(id_, within=60)["status"] in ("accepted", "rejected")


def test_under_load_while_a_worker_dies_nothing_is_lost_and_every_history_goes_on() -> None:
    code, said = exercise("13")
    assert code == 0, said
    assert "every promise kept" in said


def test_what_was_decided_in_an_old_partition_is_not_decided_again_in_a_new_one_by_another_worker() -> None:
    stack.scale("transactions", 2)
    try:
        send(BEFORE, 12)
        after = {new_id(): customer for customer in BEFORE.values()}
        send(after, 12)
        for id_ in after:
            http.final(id_, within=60)
        time.sleep(1)
        verdicts = asyncio.run(readers.published(BEFORE))
        assert {len(some) for some in verdicts.values()} == {1}
        assert "all agree" in commands.done("verify")
    finally:
        stack.scale("transactions", 1)


def test_what_a_producer_sends_to_the_old_partition_is_decided_and_named_as_late() -> None:
    before = late()
    sent = {new_id(): customer for customer in list(BEFORE.values())[:5]}
    send(sent, 4)
    for id_ in sent:
        http.final(id_, within=60)
    assert late() - before == 5


def test_partitions_that_kafkas_own_tool_adds_lose_the_histories_and_the_control_shows_it() -> None:
    code, said = exercise("13", "--control")
    assert code == 1
    assert "BROKEN  each customer's transactions knew of all those before them" in said
