"""Idempotency-Keys in Cassandra: three lightweight transactions, so that one of many takers of a key wins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel, InvalidRequest

from app.errors import StoreUnavailable
from app.observability import metrics
from app.observability.timing import Timed
from app.stores.cassandra import Cassandra
from app.stores.consistency import Rows

DDL = Path(__file__).parent.parent.parent / "schemas" / "cql" / "idempotency.cql"

#: Seconds a key is remembered after its last write; the README promises it.
KEPT = 24 * 3600

TAKE = (
    "INSERT INTO transactions.idempotency_keys "  # noqa: S608  # a number of ours
    "(key, body_hash, transaction_id, holder, lease_until, acknowledged) VALUES (?, ?, ?, ?, ?, ?) "
    f"IF NOT EXISTS USING TTL {KEPT}"
)
SET = (
    f"UPDATE transactions.idempotency_keys USING TTL {KEPT} "  # noqa: S608  # a number of ours
    "SET body_hash = ?, transaction_id = ?, holder = ?, lease_until = ?, acknowledged = ? WHERE key = ? "
)
TAKE_OVER = SET + "IF transaction_id = ? AND lease_until = ? AND acknowledged = false"
ACKNOWLEDGE = SET + "IF transaction_id = ?"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of a key; the columns of its row, in the order of the statements."""

    body_hash: str
    transaction_id: str
    holder: str
    lease_until: int
    acknowledged: bool = False


class IdempotencyTable:
    """The bff's view of table idempotency_keys; every call may raise StoreUnavailable: then nobody knows.

    `timeout` bounds a call. A node that hangs must not fail it, so it is tried on two nodes, each for half the time:
    what the first may have written all the same is found by the second. Later calls begin at the one that answered.
    """

    def __init__(self, cassandra: Cassandra, timeout: float):
        self._cassandra = cassandra
        self._timeout = timeout
        self._turn = 0
        self._is_made = False

    async def make(self) -> None:
        """Make the table if it is missing; StoreUnavailable until the transactions worker has made the keyspace."""
        try:
            await self._cassandra.run(DDL.read_text(), 30.0)
        except StoreUnavailable as exc:
            if isinstance(exc.__cause__, InvalidRequest):
                raise StoreUnavailable(
                    "the transactions worker has not made the keyspace yet, which is normal at a first start"
                ) from exc
            raise
        for cql in (TAKE, TAKE_OVER, ACKNOWLEDGE):
            await self._cassandra.prepare(cql)
        self._is_made = True

    async def take(self, key: str, entry: Entry) -> Entry:
        """Who has the key now: `entry` if it was free, else the one that came before."""
        (row,) = await self._run(TAKE, (key, *astuple(entry)))
        if row.pop("[applied]"):
            return entry
        del row["key"]
        return Entry(**row)

    async def take_over(self, key: str, before: Entry, after: Entry) -> bool:
        """Put `after` in the place of `before`, unless somebody else was quicker."""
        condition = (before.transaction_id, before.lease_until)
        (row,) = await self._run(TAKE_OVER, (*astuple(after), key, *condition))
        return bool(row["[applied]"])

    async def acknowledge(self, key: str, entry: Entry) -> None:
        """From now on the key is answered from the row alone."""
        done = (entry.body_hash, entry.transaction_id, entry.holder, entry.lease_until, True)
        await self._run(ACKNOWLEDGE, (*done, key, entry.transaction_id))

    async def _run(self, cql: str, values: Sequence[Any]) -> Rows:
        if not self._is_made:
            raise StoreUnavailable("the table of Idempotency-Keys has not been reached since the start")
        turn = self._turn
        try:
            return await self._on_host(turn, cql, values)
        except StoreUnavailable:
            self._turn = turn + 1
            return await self._on_host(turn + 1, cql, values)

    async def _on_host(self, turn: int, cql: str, values: Sequence[Any]) -> Rows:
        hosts = self._cassandra.living_hosts()
        host = hosts[turn % len(hosts)] if hosts else None
        statement = (await self._cassandra.prepare(cql, self._timeout)).bind(values)
        statement.consistency_level = ConsistencyLevel.LOCAL_QUORUM
        statement.serial_consistency_level = ConsistencyLevel.LOCAL_SERIAL
        with Timed(metrics.STORE_SECONDS, "cassandra", "compare_and_set"):
            return await self._cassandra.run(statement, self._timeout / 2, host)
