"""The keyspace and its tables, as Cassandra and as Scylla take them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.settings import Settings
from app.stores.cassandra import IS_SCYLLA, Cassandra, ddl


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
    asked, ran = [], []

    async def read(_: Cassandra, cql: str, *__: object) -> list[dict[str, Any]]:
        asked.append(cql)
        return rows

    async def run(_: Cassandra, statement: str, *__: object) -> None:
        ran.append(statement)

    monkeypatch.setattr(Cassandra, "read", read)
    monkeypatch.setattr(Cassandra, "run", run)
    asyncio.run(Cassandra(Settings()).make_tables())

    assert asked == [IS_SCYLLA]
    assert ("tablets" in ran[0]) == tablets_named
