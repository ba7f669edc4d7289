"""All that a store holds, bit by bit, for a comparison: never more than a page in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from app.errors import StoreUnavailable
from app.models.label import StoredLabel
from app.retry import pauses
from app.stores import labels_table
from app.stores.cassandra import LABELS_TABLE, Cassandra
from app.stores.consistency import EVERY_REPLICA, STRONGEST, Rows, TooFewReplicas
from app.stores.recent_transactions import COMPLETE, ENTRIES, ORDER, TRIMMED, RecentTransactions
from app.stores.transactions_table import COLUMNS, IDS_AT_ONCE

_NAMES = f"bucket, shard, {', '.join(COLUMNS)}"
_TABLE = "transactions.transactions"
PARTITIONS = (
    f"SELECT DISTINCT bucket, shard, token(bucket, shard) AS place FROM {_TABLE} "  # noqa: S608
    "WHERE token(bucket, shard) > ? LIMIT 1000"
)
FIRST = f"SELECT {_NAMES} FROM {_TABLE} WHERE bucket = ? AND shard = ? LIMIT 1000"  # noqa: S608
NEXT = f"SELECT {_NAMES} FROM {_TABLE} WHERE bucket = ? AND shard = ? AND transaction_id < ? LIMIT 1000"  # noqa: S608
SOME = f"SELECT {_NAMES} FROM {_TABLE} WHERE bucket = ? AND shard = ? AND transaction_id IN ?"  # noqa: S608
_LABEL_NAMES = ", ".join(labels_table.COLUMNS)
LABELS = (
    f"SELECT {_LABEL_NAMES}, token(transaction_id) AS place FROM transactions.labels "  # noqa: S608
    "WHERE token(transaction_id) > ? LIMIT 1000"
)
LABEL = labels_table.ONE
PAGE = 1000
#: Pages read at once.
AT_ONCE = 8
LOWEST = -(2**63)
#: Further tries of a read.
TRIES = 4

#: Bucket, shard, and the id behind which a further page begins; with the rows of one page.
Key = tuple[Any, ...]
Page = tuple[Key, Rows]


class TableScan:
    """Every row, at a quorum or stronger: a weaker reading misses what another replica has. StoreUnavailable."""

    def __init__(self, cassandra: Cassandra, timeout: float):
        """`timeout`: seconds a read may take; the driver holds each answer as long, so a short one saves memory."""
        self._cassandra, self._timeout = cassandra, timeout

    async def pages(self) -> AsyncIterator[Rows]:
        """Rows in any order, once each. Some reads are always under way, also while the caller works."""
        place = LOWEST
        while partitions := await self._read(PARTITIONS, (place,)):
            place = partitions[-1]["place"]
            left: list[tuple[str, Key]] = [(FIRST, (one["bucket"], one["shard"])) for one in partitions]
            reads: set[asyncio.Task[Page]] = set()
            try:
                while reads := reads | self._begun(left, AT_ONCE - len(reads)):
                    done, reads = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
                    for (bucket, shard, *_), rows in [one.result() for one in done]:
                        if len(rows) == PAGE:
                            left.append((NEXT, (bucket, shard, rows[-1]["transaction_id"])))
                            reads |= self._begun(left, AT_ONCE - len(reads))
                        yield rows
                        _forget(rows)
            finally:
                for read in reads:
                    read.cancel()

    def _begun(self, left: list[tuple[str, Key]], most: int) -> set[asyncio.Task[Page]]:
        """So many of those that are left, the last first, so that a partition that was begun is read to its end."""
        return {asyncio.create_task(self._page(*left.pop())) for _ in range(min(most, len(left)))}

    async def _page(self, cql: str, key: Key) -> Page:
        return key, await self._read(cql, key)

    async def rows(self, ids: dict[tuple[int, int], list[str]]) -> Rows:
        """Those of these ids, by the partition in which each should be; all replicas that live are asked.

        After a node's outage a quorum may lack what a third replica has, until its hints have arrived.
        """
        reads = [
            self._read_everywhere(SOME, (*key, those[start : start + IDS_AT_ONCE]))
            for key, those in ids.items()
            for start in range(0, len(those), IDS_AT_ONCE)
        ]
        found: Rows = []
        for start in range(0, len(reads), AT_ONCE):
            for rows in await asyncio.gather(*reads[start : start + AT_ONCE]):
                found += rows
                _forget(rows)
        return found

    async def _read(self, cql: str, values: Sequence[Any]) -> Rows:
        return await self._tried(STRONGEST, cql, values)

    async def _read_everywhere(self, cql: str, values: Sequence[Any]) -> Rows:
        try:
            return await self._tried(EVERY_REPLICA, cql, values)
        except TooFewReplicas:
            return await self._read(cql, values)

    async def _tried(self, level: int, cql: str, values: Sequence[Any]) -> Rows:
        """A busy node is asked again."""
        for pause in islice(pauses(1.0, 8.0), TRIES):
            try:
                return await self._cassandra.read_at(level, cql, values, self._timeout)
            except TooFewReplicas:
                raise
            except StoreUnavailable:
                await asyncio.sleep(pause)
        return await self._cassandra.read_at(level, cql, values, self._timeout)


class LabelScan(TableScan):
    """Every row of table labels; none where there is no such table. StoreUnavailable."""

    async def labels(self) -> AsyncIterator[Rows]:
        """In any order, once each."""
        place: int = LOWEST
        while await self._is_made() and (rows := await self._read(LABELS, (place,))):
            place = rows[-1]["place"]
            yield rows

    async def labels_of(self, ids: Sequence[str]) -> dict[str, StoredLabel]:
        """Those of these transactions, by id; all replicas that live are asked."""
        found: Rows = []
        for start in range(0, len(ids) if await self._is_made() else 0, AT_ONCE):
            reads = [self._read_everywhere(LABEL, (id_,)) for id_ in ids[start : start + AT_ONCE]]
            found += itertools.chain.from_iterable(await asyncio.gather(*reads))
        return {row["transaction_id"]: row for row in found}  # type: ignore[misc]

    async def _is_made(self) -> bool:
        return LABELS_TABLE in await self._cassandra.tables()


def _forget(rows: Rows) -> None:
    """The driver's objects refer to each other and to this list, and few as they are, Python collects them late."""
    rows.clear()


@dataclass(frozen=True, slots=True)
class CompletenessMarker:
    """What Redis says of itself: `complete`, and without `trimmed` all there is; `oldest` is a sort key, or empty."""

    complete: bool
    trimmed: bool
    oldest: str

    @property
    def claimed_from(self) -> str | None:
        """The sort key from which on it says that it has all; None when it says nothing of the kind."""
        if not self.complete:
            return None
        return self.oldest if self.trimmed else ""


class RecentScan(RecentTransactions):
    """Every entry and the list's order; each call may raise StoreUnavailable."""

    async def completeness(self) -> CompletenessMarker:
        """Its signs and its oldest key, of one moment."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.exists(COMPLETE)
        pipe.exists(TRIMMED)
        pipe.zrange(ORDER, 0, 0)
        complete, trimmed, oldest = await self._asked(pipe.execute())
        return CompletenessMarker(bool(complete), bool(trimmed), next(iter(oldest), ""))

    async def entries(self) -> AsyncIterator[list[tuple[str, str]]]:
        """Sort keys with their entries; one may come twice."""
        cursor = None
        while cursor != 0:
            cursor, found = await self._asked(self._redis.hscan(ENTRIES, cursor or 0, count=PAGE))
            yield list(found.items())

    async def order(self) -> AsyncIterator[list[str]]:
        """The list's sort keys; one may come twice."""
        cursor = None
        while cursor != 0:
            cursor, found = await self._asked(self._redis.zscan(ORDER, cursor or 0, count=PAGE))
            yield [key for key, _ in found]

    async def some(self, keys: Iterable[str]) -> tuple[dict[str, str], list[str]]:
        """The entries of these sort keys, and those of the keys that are in the order."""
        asked = list(keys)
        if not asked:
            return {}, []
        pipe = self._redis.pipeline(transaction=True)
        pipe.hmget(ENTRIES, asked)
        for key in asked:
            pipe.zscore(ORDER, key)
        texts, *scores = await self._asked(pipe.execute())
        entries = {key: text for key, text in zip(asked, texts, strict=True) if text is not None}
        return entries, [key for key, score in zip(asked, scores, strict=True) if score is not None]
