"""What Cassandra has lost is rewritten from the log: a node's rows after an old backup, or all tables."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.native import stack
from infra.native.paths import DATA
from reconciliation import readers
from tests.support import commands, http, log, store
from tests.support.dead import kill
from tests.support.feed import Feed, new_id

pytestmark = pytest.mark.usefixtures("whole_again")

NODE, OTHERS = "cassandra-3", ("cassandra-1", "cassandra-2")
COUNT = 500
REPLAY = ("replay", "--into", "cassandra", "--since", "300")


@contextmanager
def back_from_a_backup(tmp_path: Path) -> Iterator[None]:
    """What is written meanwhile reaches the node, so that no hints are kept; then its disk is an older one."""
    stack.stop(NODE)
    shutil.copytree(DATA / NODE, tmp_path / NODE)
    stack.start(NODE)
    yield
    stack.stop(NODE)
    shutil.rmtree(DATA / NODE)
    shutil.move(tmp_path / NODE, DATA / NODE)


def it_alone_has(ids: Mapping[str, log.Place]) -> dict[str, str]:
    """What this node alone answers for these, at ONE."""
    kill(*OTHERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CASSANDRA_HOSTS", store.hosts()[2])
        return store.at_one(ids)


@pytest.mark.long
def test_a_node_that_came_back_from_a_backup_is_repaired(tmp_path: Path) -> None:
    with back_from_a_backup(tmp_path):
        ids = Feed().send(COUNT)
        log.wait_until(lambda: log.lag("transactions") == 0, 90, "decided")
    published = asyncio.run(readers.published(ids))
    assert set(published) == set(ids)
    ends = log.ends(log.STATUS)

    code, said = commands.run(*REPLAY)
    assert code == 1, said
    assert "are not on all of their replicas" in said
    stack.start(NODE)
    said = commands.done(*REPLAY)
    assert "rows are on all their replicas" in said
    assert log.read(log.STATUS, ends) == [], "a replay publishes nothing"

    assert it_alone_has(ids) == {id_: published[id_][0].status for id_ in ids}


@pytest.mark.long
def test_a_row_that_a_later_deletion_hides_is_named_and_so_is_an_unknown_partition() -> None:
    id_ = http.taken()
    http.final(id_)
    row = store.row(id_, within=20)
    store.query(
        "DELETE FROM transactions.transactions WHERE bucket=%s AND shard=%s AND transaction_id=%s",
        key_of(row),
    )
    try:
        code, said = commands.run(*REPLAY)
        assert (code, id_ in said, "hidden in Cassandra by a deletion" in said) == (1, True, True), said
    finally:
        columns = ", ".join(row)
        values = ", ".join(["%s"] * len(row))
        store.query(
            f"INSERT INTO transactions.transactions ({columns}) VALUES ({values})", list(row.values())
        )
    assert commands.done(*REPLAY)

    code, said = commands.run("replay", "--into", "cassandra", "--to-offset", "9:100")
    assert (code, "transaction_status has no partition 9: it has 0 to 3" in said) == (1, True), said
    code, said = commands.run("replay", "--into", "cassandra", "--from-offset", "0:999999999")
    assert (code, "the span has no records: nothing was written" in said) == (1, True), said


def key_of(row: Mapping[str, object]) -> list[object]:
    return [row["bucket"], row["shard"], row["transaction_id"]]


@pytest.mark.long
def test_missing_tables_are_created_again_and_filled_from_the_log() -> None:
    before = http.taken()
    http.final(before)
    with store.session() as session:
        session.execute("DROP KEYSPACE transactions", timeout=60)
    meanwhile = http.taken()
    log.wait_until(lambda: log.lag("transactions") == 0, 60, "stored into tables that were made again")
    key = {"Content-Type": "application/json", "Idempotency-Key": new_id()}
    log.wait_until(lambda: http.post(headers=key).status == 201, 30, "keys have a table again")
    commands.done("replay", "--into", "cassandra")
    assert "all agree" in commands.done("verify")
    assert set(store.at_one([before, meanwhile])) == {before, meanwhile}
