"""The table on real Cassandra nodes, in a separate keyspace: which write wins, finding rows, lists."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from app.models.status import TransactionStatus
from app.models.transaction import shard_of
from app.settings import Settings
from app.stores import cassandra, transactions_table
from app.stores.transactions_table import TransactionsTable
from tests.integration.samples import status
from tests.support import store
from tests.support.feed import new_id

KEYSPACE = "transactions_tests"
STATEMENTS = ("INSERT", "FILE_BUCKET", "BUCKETS", "NEWEST", "OLDER", "ONE", "SOME", "BY_ID", "WHICH")

DAY = 86_400
NOW = 1_750_000_000


def ours(cql: str) -> str:
    """The same statement on our keyspace."""
    return re.sub(r"\btransactions\.(?=transaction)", f"{KEYSPACE}.", cql)


@pytest.fixture(scope="module", autouse=True)
def _keyspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Created by the app's own DDL, under another name; dropped at the end."""
    ddl = tmp_path_factory.mktemp("cql") / "transactions.cql"
    ddl.write_text(ours(cassandra.DDL.read_text()).replace("EXISTS transactions\n", f"EXISTS {KEYSPACE}\n"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cassandra, "DDL", ddl)
        for name in STATEMENTS:
            patch.setattr(transactions_table, name, ours(getattr(transactions_table, name)))
        _drop()
        with_table(lambda table: table._cassandra.make_tables())
        yield
        _drop()


@pytest.fixture(autouse=True)
def _empty(_keyspace: None) -> None:
    with store.session() as session:
        for table in ("transactions", "transaction_buckets"):
            session.execute(f"TRUNCATE {KEYSPACE}.{table}", timeout=60)


def _drop() -> None:
    with store.session() as session:
        session.execute(f"DROP KEYSPACE IF EXISTS {KEYSPACE}", timeout=60)


def with_table(do: Callable[[TransactionsTable], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        settings = Settings()
        ports = cassandra.Cassandra(settings)
        await ports.open()
        try:
            return await do(TransactionsTable(ports, write_timeout=20, read_timeout=20))
        finally:
            await ports.close()

    return asyncio.run(run())


def after(*batches: list[TransactionStatus], ask: Callable[[TransactionsTable], Awaitable[Any]]) -> Any:
    """What `ask` returns once these batches were stored, one after another."""

    async def do(table: TransactionsTable) -> Any:
        for batch in batches:
            await table.store(batch)
        return await ask(table)

    return with_table(do)


def finding(id_: str) -> Callable[[TransactionsTable], Awaitable[Any]]:
    return lambda table: table.find(id_)


def test_a_row_comes_back_as_it_was() -> None:
    assessments = status(new_id(NOW), value_in_cents=2**63 - 1, reason="ünïcode", score=None)
    assert after([assessments], ask=lambda table: table.find(assessments["transaction_id"])) == assessments
    assert after([assessments], ask=lambda table: table.newest(10)) == [assessments]


@pytest.mark.parametrize(
    "id_", [new_id(NOW), "16f051bb-14e0-4fda-95e5-507d01ea37dc"], ids=["ours", "foreign"]
)
def test_a_lower_revision_written_later_does_not_win(id_: str) -> None:
    first = status(id_, revision=1, status="rejected", reason="antifraud_unavailable", score=None)
    again = status(id_, revision=2, status="accepted", score=0.9, event_timestamp=first["event_timestamp"])
    for order in ([first, again], [again, first], [first, again, first]):
        found = after(*([assessments] for assessments in order), ask=lambda table: table.find(id_))
        assert found == again


def test_writing_the_same_again_changes_nothing() -> None:
    assessments = [status(new_id(NOW + number)) for number in range(20)]
    assert sorted_ids(after(assessments, assessments, ask=lambda table: table.newest(100))) == sorted_ids(
        assessments
    )


def test_which_of_many_have_a_row() -> None:
    assessments = [status(new_id(NOW)) for _ in range(600)] + [status("16f051bb-14e0-4fda-95e5-507d01ea37dc")]
    stored, missing = assessments[::2], assessments[1::2]
    found = after(stored, ask=lambda table: table.having_rows([*missing, *stored]))
    assert found == {one["transaction_id"] for one in stored}


@pytest.mark.parametrize("everywhere", [False, True], ids=["by a quorum", "on every replica"])
def test_the_rows_of_many_ids_as_they_were_also_where_a_foreign_one_comes_with_another_time(
    everywhere: bool,
) -> None:
    ours = [status(new_id(NOW + number % 3 * 60)) for number in range(450)]
    foreign = [status(str(uuid.uuid4())) for _ in range(70)]
    stored, missing = [*ours[::2], *foreign[::2]], [*ours[1::2], *foreign[1::2]]
    asked = [*missing, *({**one, "event_timestamp": NOW, "value_in_cents": 1} for one in stored)]
    found = after(stored, ask=lambda table: table.rows_of(asked, everywhere))  # type: ignore[arg-type]
    by_id = {one["transaction_id"]: one for one in found}
    assert len(by_id) == len(found)
    assert by_id == {one["transaction_id"]: one for one in stored}


def test_an_id_that_is_not_a_uuid7_is_stored_by_its_event_and_found() -> None:
    foreign = [
        status(id_, event_timestamp=NOW - 90 * number)
        for number, id_ in enumerate(["16f051bb-14e0-4fda-95e5-507d01ea37dc", "order 7", str(uuid.uuid4())])
    ]
    for assessments in foreign:
        assert after(foreign, ask=finding(assessments["transaction_id"])) == assessments
    assert after(foreign, ask=lambda table: table.newest(10)) == foreign


def test_an_unknown_id_is_none() -> None:
    assert with_table(lambda table: table.find(new_id(NOW))) is None
    assert with_table(lambda table: table.find("16f051bb-14e0-4fda-95e5-507d01ea37dc")) is None


def test_a_list_skips_quiet_months_without_guessing() -> None:
    moments = [NOW, NOW - 1, NOW - 3 * DAY, NOW - 45 * DAY, NOW - 400 * DAY, NOW - 401 * DAY, 1_000_000_000]
    assessments = [status(new_id(moment)) for moment in moments]
    reads: list[str] = []

    async def ask(table: TransactionsTable) -> Any:
        read = table._read

        async def counted(reading: Any, cql: str, values: Any) -> Any:
            reads.append(cql)
            return await read(reading, cql, values)

        table._read = counted  # type: ignore[method-assign]
        return await table.newest(100)

    assert after(assessments, ask=ask) == assessments
    assert len(reads) < 60  # reading each minute of these years would be millions of reads


def test_pages_join_over_minutes_and_shards() -> None:
    assessments = sorted(
        (status(new_id(NOW + 7 * number)) for number in range(130)),
        key=lambda one: one["transaction_id"],
        reverse=True,
    )

    async def ask(table: TransactionsTable) -> Any:
        found: list[Any] = []
        place = None
        while page := await table.newest(9, place):
            found += page
            last = page[-1]["transaction_id"]
            place = (int(last[:8] + last[9:13], 16) // 60_000, last)
        return found

    assert after(assessments, ask=ask) == assessments


def test_a_page_is_the_newest_also_where_one_shard_has_most_of_it() -> None:
    some = [status(new_id(NOW + number % 15)) for number in range(400)]
    crowded = [one for one in some if shard_of(one["transaction_id"]) == 0 or one in some[:30]]
    newest = sorted(crowded, key=lambda one: one["transaction_id"], reverse=True)

    async def ask(table: TransactionsTable) -> Any:
        return [await table.newest(limit) for limit in (20, 60, 500)]

    assert after(crowded, ask=ask) == [newest[:20], newest[:60], newest[:500]]


def test_a_large_batch_is_stored_whole() -> None:
    assessments = [status(new_id(NOW + number // 500)) for number in range(2000)]
    assert sorted_ids(after(assessments, ask=lambda table: table.newest(3000))) == sorted_ids(assessments)


def sorted_ids(rows: list[TransactionStatus]) -> list[str]:
    return sorted(row["transaction_id"] for row in rows)
