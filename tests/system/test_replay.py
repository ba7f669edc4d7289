"""A node that missed writes, and for which nobody kept hints, is made whole from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import pytest

from infra.native import places, stack, supervisor
from tests.support import commands, log, store
from tests.support.feed import Feed

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
#: java reads this variable; Cassandra lets properties of the system stand before its file.
NO_HINTS = {
    "JDK_JAVA_OPTIONS": "-Dcassandra.config.allow_system_properties=true "
    "-Dcassandra.settings.hinted_handoff_enabled=false"
}
COUNT = 500
REPLAY = ("replay", "--into", "cassandra", "--since", "300")


@pytest.fixture(autouse=True)
def _all_nodes_as_usual_at_the_end() -> Iterator[None]:
    yield
    for node in NODES[:2]:
        if stack.pid(node) is not None:
            stack.kill(node)  # it may keep no hints
    stack.up(only=NODES)


def without_hints() -> None:
    """The first two nodes keep no hints for the third, from a start of both side by side."""
    for node in NODES[:2]:
        stack.kill(node)
        supervisor.start(node, NO_HINTS)
    stack.up(only=NODES[:2])


def the_third_alone_has(ids: Mapping[str, log.Place]) -> dict[str, str]:
    """What it answers for these, at ONE, with nobody else to ask."""
    for node in NODES[:2]:
        stack.kill(node)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASSANDRA_HOSTS", store.hosts()[2])
        return store.at_one(ids)


def test_a_node_that_missed_writes_is_made_whole() -> None:
    without_hints()
    stack.kill(NODES[2])
    ids = Feed().send(COUNT)
    log.wait_until(lambda: log.lag("transactions") == 0, 90, "decided with two nodes")
    told = asyncio.run(places.told(ids))
    assert set(told) == set(ids)
    ends = log.ends(log.STATUS)

    code, said = commands.run(*REPLAY)
    assert code == 1, said
    assert "are not on all of their replicas" in said
    stack.start(NODES[2])
    said = commands.done(*REPLAY)
    assert "rows are on all their replicas" in said
    assert log.ends(log.STATUS) == ends, "a replay tells nothing"

    assert the_third_alone_has(ids) == {id_: told[id_][0].status for id_ in ids}
