"""The consistency of a read or a write: the strongest that the living nodes allow."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from cassandra import ConsistencyLevel

from app.errors import StoreUnavailable
from app.settings import Settings
from app.stores.cassandra import Cassandra
from app.stores.consistency import LEVELS, REPAIR_LEVELS, OneReplicaLacksIt, TooFewReplicas
from app.stores.labels_table import LabelsTable
from app.stores.transactions_table import TransactionsTable

ALL, QUORUM, ONE = ConsistencyLevel.ALL, ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_ONE
SLOW, FEW = StoreUnavailable("time-out"), TooFewReplicas("1 of 2", said_by="a node")


class Stepping(Cassandra):
    """`living` nodes by the driver's view; requests at some levels fail; `tried` has the levels, in order."""

    def __init__(self, living: int, fails: Mapping[int, Exception]):
        super().__init__(Settings())
        self._living = living
        self._fails = fails
        self.tried: list[int] = []
        self.rows: list[dict[str, Any]] = []
        self.hosts: list[Any] = []

    def living_hosts(self) -> list[Any]:
        return list(range(self._living))

    async def prepare(self, cql: str, timeout: float = 1.0) -> Any:
        return Statement()

    async def run(self, statement: Any, timeout: float, host: Any = None) -> list[dict[str, Any]]:
        self.tried.append(statement.consistency_level)
        self.hosts.append(host)
        if failure := self._fails.get(statement.consistency_level):
            raise failure
        return self.rows


class Statement:
    """As a prepared one and its bound one."""

    consistency_level = 0

    def bind(self, _: Any) -> Statement:
        return Statement()


def at(level: int) -> Statement:
    statement = Statement()
    statement.consistency_level = level
    return statement


@pytest.mark.parametrize(
    ("levels", "living", "fails", "tried"),
    [
        (LEVELS, 3, {}, [QUORUM]),
        (LEVELS, 2, {}, [QUORUM]),
        (LEVELS, 3, {QUORUM: FEW}, [QUORUM, ONE]),
        (LEVELS, 1, {}, [ONE]),
        (REPAIR_LEVELS, 3, {}, [ALL]),
        (REPAIR_LEVELS, 2, {}, [QUORUM]),
        (REPAIR_LEVELS, 1, {}, [ONE]),
    ],
)
def test_a_write_starts_at_the_level_that_the_living_nodes_allow(
    levels: Sequence[int], living: int, fails: Mapping[int, Exception], tried: list[int]
) -> None:
    cassandra = Stepping(living, fails)
    assert asyncio.run(cassandra.write(at, 1.0, levels)) == tried[-1]
    assert cassandra.tried == tried


def test_the_node_that_reports_too_few_replicas_gets_the_weaker_write() -> None:
    cassandra = Stepping(3, {QUORUM: FEW})
    asyncio.run(cassandra.write(at, 1.0))
    assert cassandra.hosts == [None, "a node"]


@pytest.mark.parametrize(("levels", "living"), [(LEVELS, 2), (REPAIR_LEVELS, 3)])
def test_a_slow_write_with_enough_living_nodes_is_not_weakened(levels: Sequence[int], living: int) -> None:
    with pytest.raises(StoreUnavailable):
        asyncio.run(Stepping(living, {levels[0]: SLOW}).write(at, 1.0, levels))


@pytest.mark.parametrize(
    ("living", "fails", "tried"),
    [
        (3, {}, [QUORUM]),
        (3, {QUORUM: SLOW}, [QUORUM, ONE]),
        (3, {QUORUM: FEW}, [QUORUM, ONE]),
        (1, {}, [ONE]),
    ],
)
def test_a_read_steps_down_for_any_failure(
    living: int, fails: Mapping[int, Exception], tried: list[int]
) -> None:
    cassandra = Stepping(living, fails)
    assert asyncio.run(cassandra.read("SELECT", (), 1.0)) == []
    assert cassandra.tried == tried


@pytest.mark.parametrize("find", [TransactionsTable.find, LabelsTable.find])
def test_a_single_replica_can_say_what_there_is_and_not_that_there_is_nothing(find: Any) -> None:
    async def found(living: int, rows: Sequence[Mapping[str, Any]]) -> Any:
        cassandra = Stepping(living, {})
        cassandra.rows = [dict(row) for row in rows]
        if find is LabelsTable.find:
            table = LabelsTable(cassandra, 5)
            table.is_made = True
            return await find(table, "an id", 1.0)
        return await find(TransactionsTable(cassandra, 5.0, 1.0), "an id")

    assert asyncio.run(found(2, [])) is None
    assert asyncio.run(found(1, [{"transaction_id": "an id"}])) == {"transaction_id": "an id"}
    with pytest.raises(OneReplicaLacksIt):
        asyncio.run(found(1, []))
