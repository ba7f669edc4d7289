"""The transactions in Cassandra: store statuses, list newest first, find one."""

from __future__ import annotations

import asyncio
import calendar
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from cassandra.query import UNSET_VALUE, BatchStatement, BatchType

from app.errors import StoreUnavailable
from app.models.status import FIRST_VERDICT, StoredStatus, TransactionStatus
from app.models.transaction import AHEAD_AT_MOST, SHARDS, Transaction, bucket_of, bucket_of_id, shard_of
from app.stores.cassandra import Cassandra
from app.stores.consistency import EVERY_REPLICA, LEVELS, STRONGEST, WEAKEST, Rows, bound_at, only

COLUMNS = tuple(StoredStatus.__annotations__)
_NAMES = ", ".join(COLUMNS)

INSERT = (
    f"INSERT INTO transactions.transactions (bucket, shard, {_NAMES}) "  # noqa: S608  # names of our own columns
    f"VALUES (?, ?, {', '.join('?' * len(COLUMNS))}) USING TIMESTAMP ?"
)
FILE_BUCKET = "INSERT INTO transactions.transaction_buckets (span, bucket) VALUES (?, ?)"
BUCKETS = "SELECT bucket FROM transactions.transaction_buckets WHERE span = ? AND bucket <= ? LIMIT ?"
#: All shards of a minute in one query, with a limit of rows per shard.
_OF_EACH_SHARD = f"shard IN ({', '.join(str(shard) for shard in range(SHARDS))})"
NEWEST = f"SELECT {_NAMES} FROM transactions.transactions WHERE bucket = ? AND {_OF_EACH_SHARD} PER PARTITION LIMIT ?"  # noqa: S608
OLDER = (
    f"SELECT {_NAMES} FROM transactions.transactions "  # noqa: S608
    f"WHERE bucket = ? AND {_OF_EACH_SHARD} AND transaction_id < ? PER PARTITION LIMIT ?"
)
ONE = f"SELECT {_NAMES} FROM transactions.transactions WHERE bucket = ? AND shard = ? AND transaction_id = ?"  # noqa: S608
WHICH = "SELECT transaction_id FROM transactions.transactions WHERE bucket = ? AND shard = ? AND transaction_id IN ?"
REVISIONS = (
    "SELECT transaction_id, revision FROM transactions.transactions "
    "WHERE bucket = ? AND shard = ? AND transaction_id IN ?"
)
SOME = (
    f"SELECT {_NAMES} FROM transactions.transactions WHERE bucket = ? AND shard = ? AND transaction_id IN ?"  # noqa: S608
)
BY_ID = f"SELECT {_NAMES} FROM transactions.transactions WHERE transaction_id = ?"  # noqa: S608

#: Rows a Cassandra batch: one mutation a partition; larger ones gain nothing more and hold the node longer.
BATCH_ROWS = 500
#: Ids in one query: Scylla takes no more (its max_clustering_key_restrictions_per_query).
IDS_AT_ONCE = 100
#: Reads by the index at once: each asks every node.
INDEX_READS_AT_ONCE = 32
#: Buckets read at once while a list is filled: the newest alone, then two, four, at most so many. A busy minute gives a
#: whole page; just after it has begun the one before does; at one transaction every 3 s a page of 100 takes five.
BUCKETS_AT_ONCE = 8

#: Times READ_TIMEOUT until a list is answered with what was found so far.
LIST_WITHIN = 2.0

Partition = tuple[int, int]
_id = itemgetter("transaction_id")
Read = Callable[[str, Sequence[Any]], Awaitable[Rows]]
T = TypeVar("T", Transaction, TransactionStatus)


@dataclass(slots=True)
class Reading:
    """How a list was read.

    `one_replica`: some of it by the word of one alone, which may lack what others have. `is_cut`: more would have taken
    too long, so there may be more before the last row.
    """

    one_replica: bool = False
    is_cut: bool = False


class TransactionsTable:
    """The one writer's and the readers' view of table transactions; every call may raise StoreUnavailable."""

    def __init__(
        self,
        cassandra: Cassandra,
        write_timeout: float,
        read_timeout: float,
        levels: Sequence[int] = LEVELS,
    ):
        """`write_timeout`, `read_timeout`: seconds per call; `levels`: consistency of writes, the strongest first."""
        self._cassandra = cassandra
        self._levels = levels
        self.reached: Counter[int] = Counter()
        self._write_timeout = write_timeout
        self._read_timeout = read_timeout
        self._filed: set[int] = set()

    async def prepare(self) -> None:
        """All statements, so that no GET waits for one; StoreUnavailable until the tables are there."""
        for cql in (INSERT, FILE_BUCKET, BUCKETS, NEWEST, OLDER, ONE, WHICH, REVISIONS, SOME, BY_ID):
            await self._cassandra.prepare(cql)

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        """Write the rows, all or (on StoreUnavailable) some: writing them again changes nothing."""
        partitions = by_partition(statuses)
        await self._file({bucket for bucket, _ in partitions})
        insert = await self._cassandra.prepare(INSERT, self._write_timeout)
        batches = [
            (partition, rows[start : start + BATCH_ROWS])
            for partition, rows in partitions.items()
            for start in range(0, len(rows), BATCH_ROWS)
        ]
        writes = [self._write(insert, partition, rows) for partition, rows in batches]
        for result in await asyncio.gather(*writes, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def _write(self, insert: Any, partition: Partition, statuses: Sequence[TransactionStatus]) -> None:
        rows = [row_of(partition, status) for status in statuses]

        def statement_at(level: int) -> BatchStatement:
            batch = BatchStatement(BatchType.UNLOGGED, consistency_level=level)
            for row in rows:
                batch.add(insert, row)
            batch.is_idempotent = True
            return batch

        level = await self._cassandra.write(statement_at, self._write_timeout, self._levels)
        self.reached[level] += len(rows)

    async def _file(self, buckets: Iterable[int]) -> None:
        new = [bucket for bucket in buckets if bucket not in self._filed]
        if not new:
            return
        entries = [(month_of(bucket), bucket) for bucket in new]
        entries += [("all", first_minute(span)) for span in {span for span, _ in entries}]
        statement = await self._cassandra.prepare(FILE_BUCKET, self._write_timeout)
        for entry in entries:
            await self._cassandra.write(
                partial(bound_at, statement, entry), self._write_timeout, self._levels
            )
        if len(self._filed) > 10_000:
            self._filed.clear()
        self._filed.update(new)

    def forget_buckets(self) -> None:
        """The table was made anew: buckets that were listed are not listed any more."""
        self._filed.clear()

    async def find(self, transaction_id: str) -> TransactionStatus | None:
        """The row of an id: from its own bucket, or for a foreign id through the index.

        OneReplicaLacksIt where a single replica says that there is none.
        """
        rows, level = await self._cassandra.read_as_can_be(*_one(transaction_id), self._read_timeout)
        return only(rows, level)  # type: ignore[return-value]

    async def find_at(self, level: int, transaction_id: str) -> TransactionStatus | None:
        """The same, at this consistency level and no other."""
        rows = await self._cassandra.read_at(level, *_one(transaction_id), self._read_timeout)
        return rows[0] if rows else None  # type: ignore[return-value]

    async def having_rows(self, transactions: Sequence[Transaction]) -> set[str]:
        """The ids of those that have a row, by a quorum's word."""
        rows = await self._rows(WHICH, STRONGEST, by_partition(transactions), self._read_timeout)
        return {row["transaction_id"] for row in rows}

    async def revisions_of(self, transactions: Sequence[Transaction]) -> dict[str, int]:
        """The revisions of those that have a row, by id, as GET finds them."""
        reads = [
            self._cassandra.read_as_can_be(
                REVISIONS, (*partition, list(map(_id, some[start : start + IDS_AT_ONCE]))), self._read_timeout
            )
            for partition, some in by_partition(transactions).items()
            for start in range(0, len(some), IDS_AT_ONCE)
        ]
        found = await asyncio.gather(*reads)
        return {row["transaction_id"]: row["revision"] for rows, _ in found for row in rows}

    async def rows_of(self, transactions: Sequence[Transaction], everywhere: bool) -> list[TransactionStatus]:
        """The rows of these ids, by a quorum's word or that of every replica.

        No client waits for it, so it may take as long as a write.
        """
        level = EVERY_REPLICA if everywhere else STRONGEST
        ours, foreign = list[Transaction](), list[str]()
        for one in transactions:
            if bucket_of_id(one["transaction_id"]) is None:
                foreign.append(one["transaction_id"])
            else:
                ours.append(one)
        rows = await self._rows(SOME, level, by_partition(ours), self._write_timeout)
        # Its record's time may differ from its row's, so that only the index knows where a foreign id's row is.
        for start in range(0, len(foreign), INDEX_READS_AT_ONCE):
            some = foreign[start : start + INDEX_READS_AT_ONCE]
            reads = [self._cassandra.read_at(level, BY_ID, (id_,), self._write_timeout) for id_ in some]
            rows += itertools.chain.from_iterable(await asyncio.gather(*reads))
        return rows  # type: ignore[return-value]

    async def _rows(
        self, cql: str, level: int, asked: Mapping[Partition, Sequence[Transaction]], timeout: float
    ) -> Rows:
        reads = [
            self._cassandra.read_at(
                level, cql, (*partition, list(map(_id, some[start : start + IDS_AT_ONCE]))), timeout
            )
            for partition, some in asked.items()
            for start in range(0, len(some), IDS_AT_ONCE)
        ]
        return [row for rows in await asyncio.gather(*reads) for row in rows]

    async def newest(
        self,
        limit: int,
        before: tuple[int, str] | None = None,
        reading: Reading | None = None,
    ) -> list[TransactionStatus]:
        """The newest `limit` rows, or those before (bucket, transaction_id) of a cursor, newest first.

        Each shard may have them all: ask for pages, not for the table. Fewer, if more would take too long; if none was
        found by then, StoreUnavailable. What one replica knows is better than nothing. `reading` says both.
        """
        reading, until = reading or Reading(), time.monotonic() + LIST_WITHIN * self._read_timeout
        read, found = partial(self._read, reading), Rows()
        top, at_once = before[0] if before else int(time.time() + AHEAD_AT_MOST) // 60, 1
        while len(found) < limit:
            buckets = await self._buckets_from(read, top, at_once)
            if not buckets:
                break
            missing = limit - len(found)
            for rows in await asyncio.gather(*(self._bucket(read, b, missing, before) for b in buckets)):
                found += rows
            top, at_once = buckets[-1] - 1, min(2 * at_once, BUCKETS_AT_ONCE)
            if len(found) < limit and time.monotonic() > until:
                reading.is_cut = True
                if not found:
                    raise StoreUnavailable("Cassandra is too slow for a list: no row was found in time")
                break
        return found[:limit]  # type: ignore[return-value]

    async def _bucket(self, read: Read, bucket: int, limit: int, before: tuple[int, str] | None) -> Rows:
        async def of_each_shard(most: int) -> Rows:
            if before and bucket == before[0]:
                rows = await read(OLDER, (bucket, before[1], most))
            else:
                rows = await read(NEWEST, (bucket, most))
            return sorted(rows, key=_id, reverse=True)

        # Ids are spread evenly over the shards: some more than its share of the page is enough of each, nearly always.
        most = min(limit, limit // SHARDS * 5 // 4 + 8)
        rows = await of_each_shard(most)
        on_page = Counter(shard_of(_id(row)) for row in rows[:limit])
        if most < limit and most in on_page.values():
            rows = await of_each_shard(limit)  # that shard may have more of the page
        return rows

    async def _buckets_from(self, read: Read, top: int, count: int) -> list[int]:
        # Nearly always they are all of this month; only where they are not is it asked which months there are.
        rows = await read(BUCKETS, (month_of(top), top, count))
        if len(rows) < count:
            for month in await read(BUCKETS, ("all", first_minute(month_of(top)) - 1, 1200)):
                rows += await read(BUCKETS, (month_of(month["bucket"]), top, count - len(rows)))
                if len(rows) == count:
                    break
        return [row["bucket"] for row in rows]

    async def _read(self, reading: Reading, cql: str, values: Sequence[Any]) -> Rows:
        rows, level = await self._cassandra.read_as_can_be(cql, values, self._read_timeout)
        reading.one_replica |= level == WEAKEST
        return rows


def _one(transaction_id: str) -> tuple[str, tuple[Any, ...]]:
    bucket = bucket_of_id(transaction_id)
    if bucket is None:
        return BY_ID, (transaction_id,)
    return ONE, (bucket, shard_of(transaction_id), transaction_id)


def by_partition(statuses: Iterable[T]) -> dict[Partition, list[T]]:
    """Transactions or their statuses by the Cassandra partition (bucket, shard) they are filed in."""
    partitions: dict[Partition, list[T]] = defaultdict(list)
    for status in statuses:
        transaction_id = status["transaction_id"]
        partitions[bucket_of(transaction_id, status["event_timestamp"]), shard_of(transaction_id)].append(
            status
        )
    return partitions


def row_of(partition: Partition, status: TransactionStatus) -> tuple[Any, ...]:
    """The values of INSERT for one status.

    Before a first verdict there is nothing that a null would have to cover, and a null is a tombstone that every
    read of the row meets; so it is left unset.
    """
    null = UNSET_VALUE if status["revision"] == FIRST_VERDICT else None
    values = (status[column] for column in COLUMNS)  # type: ignore[literal-required]
    return (*partition, *(null if value is None else value for value in values), write_time(status))


def write_time(status: TransactionStatus) -> int:
    """The row's write timestamp (microseconds): the same for a replay, higher for a higher revision."""
    return status["event_timestamp"] * 1_000_000 + min(status["revision"], 999_999)


def month_of(bucket: int) -> str:
    """The span that lists this bucket, e.g. '2026-11'."""
    return time.strftime("%Y-%m", time.gmtime(bucket * 60))


def first_minute(span: str) -> int:
    """The first minute of a month's span, since 1970."""
    return calendar.timegm(time.strptime(span, "%Y-%m")) // 60
