"""What GET reads: Redis first; Cassandra when Redis is down, cold, or does not reach far enough back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from app.errors import BeingRebuilt, LogUnavailable, NotReadableYet, StoreUnavailable
from app.models.status import TransactionStatus, assessed, key_of_row, place_of, shown, sort_key
from app.models.transaction import millis_of_id
from app.observability import metrics
from app.read_model.log_reader import CLOCKS_APART
from app.read_model.pending_writer import PendingWriter
from app.read_model.state import ReadModelState
from app.stores.recent_transactions import Reach, RecentTransactions, lacks_fields
from app.stores.transactions_table import Reading, TransactionsTable

T = TypeVar("T")

#: Seconds that a bff, this one or another, may take to note in Redis what it has answered with 201.
NOTED_WITHIN = 5.0
#: Seconds that a list waits for what its own bff is noting.
NOTED_SOON = 0.05
#: Seconds back to which an id that nobody has may be pending, while Redis lacks something: what is pending, the log and
#: Redis alone know. As long as a worker may be behind in an outage.
PENDING_AT_MOST = 24 * 3600.0
#: Seconds that a GET waits for Kafka's word on that.
LOG_ANSWERS_WITHIN = 2.0
#: Offsets of transaction_status for a row, at most: records of up to four revisions, each of which had the marker of a
#: transaction behind it in earlier releases. A table with fewer rows is not whole.
OFFSETS_A_ROW = 8
#: How many of Redis' oldest are looked up in Cassandra: single ones may have been deleted by hand.
OLDEST = 5


@dataclass(frozen=True, slots=True)
class Listing:
    """Entries newest first, as JSON texts; `source` says which store gave them, `may_lack` that some may be missing.

    `being_rebuilt`: any may be missing, the table was thrown away and is being written again. `one_replica`: by the
    word of single replicas, which may lack what others have.
    """

    entries: list[str]
    last_key: str | None
    source: str
    may_lack: bool
    being_rebuilt: bool = False
    one_replica: bool = False


class ReadModel:
    """The two stores as one list."""

    def __init__(
        self,
        recent: RecentTransactions,
        table: TransactionsTable,
        notes: PendingWriter,
        state: ReadModelState,
        log_length: Callable[[], int | None],
        is_decided: Callable[[float], Awaitable[bool]],
    ):
        """`log_length`: how many offsets transaction_status has, None while nobody knows.

        `is_decided`: whether all that was taken until then, in seconds since 1970, is decided and stored.
        """
        self._recent = recent
        self._table = table
        self._notes = notes
        self._state = state
        self._log_length = log_length
        self._is_decided = is_decided

    async def newest(self, limit: int, before: str | None) -> Listing:
        """A page; StoreUnavailable when neither store can give it."""
        # Before Redis is asked: what is mended behind that is not on the page.
        was_behind, may_lack = self._state.is_behind, not await self._has_all_notes()
        page = await self._of_redis(lambda: self._recent.newest(limit, before))
        whole = page if page and page.complete and (page.last_key or not page.trimmed) else None
        if whole and not was_behind and not self._state.is_behind:
            metrics.READS.labels("redis").inc()
            return Listing(whole.entries, whole.last_key, "redis", may_lack)
        try:
            return await self._from_cassandra(limit, before)
        except StoreUnavailable:
            if not whole:
                raise
            return Listing(whole.entries, whole.last_key, "redis", may_lack=True)

    async def _has_all_notes(self) -> bool:
        """Whether Redis has all that was answered with 201 here; a moment is waited for what is being written."""
        if self._notes.lost or self._notes.has_backlog or not self._state.answers:
            return False
        return await self._notes.written(NOTED_SOON)

    async def _from_cassandra(self, limit: int, before: str | None) -> Listing:
        reading = Reading()
        rows = await self._table.newest(limit, place_of(before) if before else None, reading)
        metrics.READS.labels("cassandra").inc()
        entries = [json.dumps(shown(row, row["status"]), ensure_ascii=False) for row in rows]
        last = rows[-1] if len(rows) == limit or reading.is_cut else None
        key = key_of_row(last) if last else None
        is_all = before is None and last is None
        # The table was thrown away: the log says how much was in it.
        is_short = is_all and len(rows) * OFFSETS_A_ROW < (self._log_length() or 0)
        being_rebuilt = is_short or self._state.being_rebuilt
        return Listing(entries, key, "cassandra", True, being_rebuilt, reading.one_replica)

    async def find(self, transaction_id: str) -> str | None:
        """One transaction as JSON, with its assessment, or None where there is certainly none; StoreUnavailable.

        None is never said of an id that a POST was answered with: NotReadableYet while it may be on its way.
        """
        key = sort_key(transaction_id, 0)
        found = await self._of_redis(lambda: self._recent.find(key))
        if found and (self._state.is_behind or lacks_fields(found)):
            found = await self._whole(transaction_id, found)
        if found:
            metrics.READS.labels("redis").inc()
            return found
        row = await self._table.find(transaction_id)
        if row is None:
            if pending := self._notes.find(key):
                return pending
            row = await self._if_none_is_hidden(transaction_id, key)
        metrics.READS.labels("cassandra").inc()
        return row and _detail(row)

    async def _whole(self, transaction_id: str, found: str) -> str:
        """What a bff of an earlier release wrote, or what Redis had before it was away, by the row.

        As it is where there is no row, or an older one.
        """
        try:
            row = await self._table.find(transaction_id)
        except StoreUnavailable:
            return found
        return _detail(row) if row and row["revision"] >= json.loads(found)["revision"] else found

    async def _if_none_is_hidden(self, transaction_id: str, key: str) -> TransactionStatus | None:
        """None, or what has been stored meanwhile."""
        reach = await self._of_redis(lambda: self._recent.reach(OLDEST))
        if self._state.being_rebuilt:
            raise BeingRebuilt("it may exist: Cassandra's table is being written again from the log")
        if reach and await self._lacks_rows(reach):
            raise BeingRebuilt("it may exist: Cassandra's table is not whole")
        made, since, now = millis_of_id(transaction_id), self._state.complete_since, time.monotonic()
        # What other bffs noted during an outage comes into a Redis that is complete again a moment later.
        complete = reach and reach.complete and since is not None and now - since > NOTED_WITHIN
        if made is None:
            return None
        age = time.time() - made / 1000
        if -CLOCKS_APART <= age <= (NOTED_WITHIN if complete else PENDING_AT_MOST):
            raise NotReadableYet("it may have been taken: no store that answers shows it yet; ask again")
        is_below = reach and reach.trimmed and reach.oldest and key < reach.oldest[0]
        if not is_below or age > PENDING_AT_MOST:
            return None
        # Redis keeps the newest, decided or not.
        if not await self._all_is_decided(made / 1000):
            raise NotReadableYet("it may wait for its decision, older than all that is listed; ask again")
        return await self._table.find(transaction_id)

    async def _all_is_decided(self, until: float) -> bool:
        with contextlib.suppress(LogUnavailable, TimeoutError):
            async with asyncio.timeout(LOG_ANSWERS_WITHIN):
                return await self._is_decided(until)
        return False

    async def _lacks_rows(self, reach: Reach) -> bool:
        """Whether Cassandra has none of Redis' oldest: then it may also lack older ones, which Redis has removed."""
        if not (reach.trimmed and reach.oldest):
            return False
        for key in reach.oldest:
            if await self._table.find(place_of(key)[1]):
                return False
        return True

    async def _of_redis(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Redis' answer; None if it gives none, and at once as long as it is not back."""
        if not self._state.answers:
            return None
        try:
            return await ask()
        except StoreUnavailable:
            self._state.note_unanswered()
            return None


def _detail(row: TransactionStatus) -> str:
    return json.dumps({**shown(row, row["status"]), **assessed(row)}, ensure_ascii=False)
