"""The keyspace and its tables, as Cassandra and as Scylla take them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.errors import StoreUnavailable
from app.settings import Settings
from app.stores.cassandra import ADDED, COLUMNS_THERE, IS_SCYLLA, Cassandra, ddl


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
