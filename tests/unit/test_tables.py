"""The keyspace and its tables, as Cassandra and as Scylla take them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.settings import Settings
from app.stores import transactions_table
from app.stores.cassandra import ADDED, COLUMNS_THERE, IS_SCYLLA, Cassandra, ddl
from app.stores.consistency import STRONGEST
from app.stores.transactions_table import Reading, TransactionsTable
from tests.unit import virtual_time


def test_scylla_gets_a_keyspace_without_tablets() -> None:
    keyspace = ddl(3, scylla=True)[0]
    assert keyspace.startswith("CREATE KEYSPACE IF NOT EXISTS transactions")
    assert keyspace.endswith("AND tablets = {'enabled': false}")


def test_cassandra_gets_no_clause_that_only_scylla_knows() -> None:
    assert "tablets" not in " ".join(ddl(3, scylla=False))


@pytest.mark.parametrize("scylla", [True, False])
def test_everything_else_is_the_same_on_both(scylla: bool) -> None:
    statements = ddl(2, scylla=scylla)
    assert statements[1:] == ddl(3, scylla=not scylla)[1:]
    assert "{'class': 'NetworkTopologyStrategy', 'replication_factor': 2}" in statements[0]
    assert not any("--" in statement for statement in statements)


@pytest.mark.parametrize(("rows", "tablets_named"), [([{"table_name": "scylla_local"}], True), ([], False)])
def test_the_server_says_which_it_is(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, Any]], tablets_named: bool
) -> None:
    ran = made(monkeypatch, rows, [[*ADDED]])
    assert ("tablets" in ran[0]) == tablets_named


def made(
    monkeypatch: pytest.MonkeyPatch,
    scylla: list[dict[str, Any]],
    columns: list[list[str]],
    fails: str = "nothing",
) -> list[str]:
    """The statements that make_tables runs; `columns`: those that are there, look by look."""
    ran = []

    async def read(_: Cassandra, cql: str, *__: object) -> list[dict[str, Any]]:
        if cql == IS_SCYLLA:
            return scylla
        assert cql == COLUMNS_THERE
        return [{"column_name": name} for name in columns.pop(0)]

    async def run(_: Cassandra, statement: str, *__: object) -> None:
        ran.append(statement)
        if statement.startswith(fails):
            raise StoreUnavailable("refused")

    monkeypatch.setattr(Cassandra, "read", read)
    monkeypatch.setattr(Cassandra, "run", run)
    asyncio.run(Cassandra(Settings()).make_tables())
    return ran


def test_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ran = made(monkeypatch, [], [["transaction_id"]])
    assert [one for one in ran if one.startswith("ALTER")] == [
        "ALTER TABLE transactions.transactions ADD reasons text"
    ]
    assert "ALTER" not in " ".join(made(monkeypatch, [], [[*ADDED]]))


def test_a_column_that_another_worker_has_added_meanwhile_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made(monkeypatch, [], [[], [*ADDED]], fails="ALTER")
    with pytest.raises(StoreUnavailable):
        made(monkeypatch, [], [[], []], fails="ALTER")


class SlowCassandra:
    """Each read takes its time; minutes have one row each, or none."""

    def __init__(self, takes: float, rows: int) -> None:
        self.takes, self.rows = takes, rows

    async def read_as_can_be(self, cql: str, values: Any, timeout: float) -> tuple[list[Any], int]:
        await asyncio.sleep(self.takes)
        if cql == transactions_table.BUCKETS:
            return [{"bucket": values[1] - number} for number in range(values[2])], STRONGEST
        return [{"transaction_id": f"{values[0]:010d}"}] * self.rows, STRONGEST


def listed(takes: float, rows: int = 1) -> tuple[list[Any], Reading]:
    async def main() -> tuple[list[Any], Reading]:
        cassandra, reading = SlowCassandra(takes, rows), Reading()
        table = TransactionsTable(cassandra, 5.0, 1.0)  # type: ignore[arg-type]
        began = asyncio.get_running_loop().time()
        try:
            return await table.newest(1000, None, reading), reading
        finally:
            assert asyncio.get_running_loop().time() - began < 4.5

    return virtual_time.run(main())


def test_a_list_from_a_slow_cassandra_is_what_was_found_in_time_and_says_that_there_may_be_more() -> None:
    rows, reading = listed(takes=0.9)
    assert 1 <= len(rows) < 1000
    assert reading.is_cut
    rows, reading = listed(takes=0.001)
    assert (len(rows), reading.is_cut) == (1000, False)


def test_a_list_from_a_slow_cassandra_that_has_found_nothing_is_no_empty_list() -> None:
    with pytest.raises(StoreUnavailable, match="too slow"):
        listed(takes=0.9, rows=0)
