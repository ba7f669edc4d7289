"""The lightweight transactions of Idempotency-Keys, on real Cassandra."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from app.settings import settings
from app.stores.cassandra import Cassandra
from app.stores.idempotency_table import KEPT, Entry, IdempotencyTable
from tests.support import store

T = TypeVar("T")


def on_the_table(use: Callable[[IdempotencyTable], Awaitable[T]]) -> T:
    async def main() -> T:
        cassandra = Cassandra(settings())
        await cassandra.open()
        try:
            table = IdempotencyTable(cassandra, 10.0)
            await table.make()
            return await use(table)
        finally:
            await cassandra.close()

    return asyncio.run(main())


def key() -> str:
    return f"test-{uuid.uuid4()}"


def entry(number: int = 0) -> Entry:
    return Entry("hash", f"id-{number}", f"holder-{number}", 1000 + number)


def test_a_free_key_is_reserved_and_the_next_caller_learns_by_whom() -> None:
    async def use(table: IdempotencyTable) -> None:
        one = key()
        assert await table.take(one, entry(1)) == entry(1)
        assert await table.take(one, entry(2)) == entry(1)

    on_the_table(use)


def test_of_eight_callers_at_once_one_reserves_the_key() -> None:
    async def use(table: IdempotencyTable) -> None:
        one = key()
        found = await asyncio.gather(*(table.take(one, entry(n)) for n in range(8)), return_exceptions=True)
        assert len({taken for taken in found if isinstance(taken, Entry)}) == 1

    on_the_table(use)


def test_of_two_that_steal_a_lease_one_succeeds() -> None:
    async def use(table: IdempotencyTable) -> None:
        one, first = key(), entry(1)
        await table.take(one, first)
        after = [replace(first, holder="b", lease_until=2000), replace(first, holder="c", lease_until=3000)]
        won = [await table.take_over(one, first, taker) for taker in after]
        assert won == [True, False]
        assert await table.take(one, entry(9)) == after[0]

    on_the_table(use)


def test_an_acknowledged_key_is_not_stolen() -> None:
    async def use(table: IdempotencyTable) -> None:
        one, first = key(), entry(1)
        await table.take(one, first)
        await table.acknowledge(one, first)
        assert not await table.take_over(one, first, replace(first, holder="late"))
        assert await table.take(one, entry(9)) == replace(first, acknowledged=True)

    on_the_table(use)


def test_a_late_acknowledgement_changes_no_other_entry() -> None:
    async def use(table: IdempotencyTable) -> None:
        one = key()
        await table.take(one, entry(2))
        await table.acknowledge(one, entry(1))
        assert await table.take(one, entry(9)) == entry(2)

    on_the_table(use)


def test_every_column_is_kept_for_24_hours_from_the_last_write() -> None:
    one, columns = key(), ("body_hash", "transaction_id", "holder", "lease_until", "acknowledged")

    async def use(table: IdempotencyTable) -> None:
        await table.take(one, entry(1))
        await asyncio.sleep(1.5)
        await table.acknowledge(one, entry(1))

    on_the_table(use)
    names = ", ".join(f"TTL({column}) AS {column}" for column in columns)
    (row,) = store.query(f"SELECT {names} FROM transactions.idempotency_keys WHERE key = %s", (one,))
    assert max(row.values()) - min(row.values()) <= 1, row
    assert KEPT - 60 < row["body_hash"] <= KEPT
