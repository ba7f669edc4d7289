"""What GET reads: Redis first; Cassandra when Redis is down, cold, or does not reach far enough back."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from app.errors import BeingRebuilt, NotReadableYet, Overloaded, StoreUnavailable, Transient
from app.models.status import TransactionStatus, assessed, key_of_row, shown, sort_key
from app.models.transaction import Transaction, millis_of_id
from app.observability import metrics
from app.stores.recent_transactions import Entry, RecentTransactions, entries_of, pending_entry
from app.stores.transactions_table import Reading, TransactionsTable

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two looks for the sign: a Redis that is back, or back but empty, is noticed within about this.
CHECK_EVERY = 0.5
#: Seconds that a bff, this one or another, may take to note in Redis what it has answered with 201.
NOTED_WITHIN = 5.0
#: Seconds back to which an id that nobody has may be pending, while Redis lacks something: what is pending, the log and
#: Redis alone know. As long as a worker may be behind in an outage.
PENDING_AT_MOST = 24 * 3600.0
#: Seconds that the clock of the bff that made an id may be ahead of ours.
CLOCKS_APART = 60.0

#: Transactions a read of a refill: at most four times as many rows of one minute are in a node's memory at once.
REFILL_PAGE = 500

#: Offsets of transaction_status for a row, at most: records of up to four revisions, each with the mark of its
#: transaction. A table with fewer rows is not whole.
OFFSETS_A_ROW = 8


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


class Pending(Protocol):
    """What this bff has taken and Redis is to show as pending: see app.read_model.pending_writer."""

    has_backlog: bool
    lost: bool

    def recent(self) -> Sequence[Entry]:
        """What was noted lately, decided by now or not."""


class ReadModel:
    """The two stores as one list."""

    def __init__(
        self,
        recent: RecentTransactions,
        table: TransactionsTable,
        keep: int,
        notes: Pending,
        undecided: Callable[[], Awaitable[Sequence[Transaction]]],
        unstored: Callable[[], Awaitable[Sequence[TransactionStatus]]],
        log_length: Callable[[], int | None],
    ):
        """What Cassandra cannot give; `undecided`: in the log, not decided; `unstored`: decided, perhaps without a row.

        `log_length`: how many offsets transaction_status has, None while nobody knows.
        """
        self._recent = recent
        self._table = table
        self._keep = keep
        self._notes = notes
        self._undecided = undecided
        self._unstored = unstored
        self._log_length = log_length
        # The table was thrown away: an id that it does not have may exist.
        self._being_rebuilt = False
        # A Redis that is back has its data and its sign, and lacks what was decided meanwhile.
        self._lacks = False
        # After a failure no GET waits for Redis again until `keep_complete` has had an answer of it.
        self._redis_answers = True
        self._policy_is_known = False
        # Since when (time.monotonic) Redis has all; None while it has not.
        self._complete_since: float | None = None

    async def newest(self, limit: int, before: str | None) -> Listing:
        """A page; StoreUnavailable when neither store can give it."""
        page = await self._of_redis(lambda: self._recent.newest(limit, before))
        whole = page if page and page.complete and (page.last_key or not page.trimmed) else None
        if whole and not self._lacks:
            metrics.READS.labels("redis").inc()
            return Listing(
                whole.entries, whole.last_key, "redis", may_lack=self._notes.has_backlog or self._notes.lost
            )
        try:
            return await self._from_cassandra(limit, before)
        except StoreUnavailable:
            if not whole:
                raise
            return Listing(whole.entries, whole.last_key, "redis", may_lack=True)

    async def _from_cassandra(self, limit: int, before: str | None) -> Listing:
        reading = Reading()
        rows = await self._table.newest(limit, _place(before) if before else None, reading=reading)
        metrics.READS.labels("cassandra").inc()
        entries = [json.dumps(shown(row, row["status"]), ensure_ascii=False) for row in rows]
        last = rows[-1] if len(rows) == limit else None
        key = key_of_row(last) if last else None
        ends = before is None and len(rows) < limit  # then it is all that there is
        rebuilt = self._being_rebuilt or (
            ends and self._log_length() is not None and not self._is_credible(len(rows))
        )
        return Listing(entries, key, "cassandra", True, rebuilt, reading.one_replica)

    async def find(self, transaction_id: str) -> str | None:
        """One transaction as JSON, with its assessment, or None where there is certainly none; StoreUnavailable.

        None is never said of an id that a POST was answered with: NotReadableYet while it may be on its way.
        """
        found = await self._of_redis(lambda: self._recent.find(sort_key(transaction_id, 0)))
        if found:
            metrics.READS.labels("redis").inc()
            return found
        row = await self._table.find(transaction_id)
        if row is None:
            if recent := self._noted_here(transaction_id):
                return recent
            self._check_that_none_is_hidden(transaction_id)
        metrics.READS.labels("cassandra").inc()
        return row and json.dumps({**shown(row, row["status"]), **assessed(row)}, ensure_ascii=False)

    def _noted_here(self, transaction_id: str) -> str | None:
        """It is pending: a POST of this bff took it a moment ago, or Redis could not take its note."""
        key = sort_key(transaction_id, 0)
        return next(
            (entry.split("\n")[2] for recent, _, entry in self._notes.recent() if recent == key), None
        )

    def _check_that_none_is_hidden(self, transaction_id: str) -> None:
        if self._being_rebuilt:
            raise BeingRebuilt("it may exist: Cassandra's table is being written again from the log")
        made = millis_of_id(transaction_id)
        since, now = self._complete_since, time.monotonic()
        # What other bffs noted during an outage comes into a Redis that is complete again a moment later.
        complete = self._redis_answers and since is not None and now - since > NOTED_WITHIN
        within = NOTED_WITHIN if complete else PENDING_AT_MOST
        if made is not None and -CLOCKS_APART <= time.time() - made / 1000 <= within:
            raise NotReadableYet("it may have been taken: no store that answers shows it yet; ask again")

    async def _of_redis(self, ask: Callable[[], Awaitable[T]]) -> T | None:
        """Redis' answer; None if it gives none, and at once as long as it is not back."""
        if not self._redis_answers:
            return None
        try:
            return await ask()
        except StoreUnavailable:
            self._redis_answers = False
            return None

    async def keep_complete(self) -> None:
        """Refill Redis whenever the sign is missing and after each outage; runs until cancelled."""
        said = False
        while True:
            try:
                await self._look()
                metrics.READ_MODEL_COMPLETE.labels("redis").set(1)
                if self._complete_since is None:
                    self._complete_since = time.monotonic()
                if said:
                    log.info("The read model in Redis is complete again")
                said = self._being_rebuilt = False
            except Overloaded:
                pass  # nothing was learnt: what was so before is so still
            except Transient as exc:
                self._being_rebuilt = isinstance(exc, BeingRebuilt)
                self._complete_since = None
                metrics.READ_MODEL_COMPLETE.labels("redis").set(0)
                if not said:
                    log.info("The read model in Redis is not complete, GET asks Cassandra: %s", exc)
                said = True
            await asyncio.sleep(CHECK_EVERY)

    async def _look(self) -> None:
        try:
            complete = await self._recent.is_complete()
        except StoreUnavailable:
            self._lacks = True
            raise
        self._redis_answers = True
        await self._warn_of_evictions()
        if self._lacks or not complete:
            metrics.READ_MODEL_COMPLETE.labels("redis").set(0)
            self._complete_since = None
            await self._refill()
        elif self._notes.lost:
            await self._note_what_waits()
        self._lacks = False

    async def _warn_of_evictions(self) -> None:
        if self._policy_is_known:
            return
        self._policy_is_known = True
        policy = await self._recent.eviction_policy()
        if policy and policy.startswith("allkeys"):
            log.warning(
                "Redis has maxmemory-policy %s: when its memory is full it evicts the list of transactions, which is "
                "then filled again and again; set noeviction",
                policy,
            )

    async def _refill(self) -> None:
        """In pages: all at once would take more memory than a small Cassandra node has."""
        filling = await self._recent.begin_filling()
        await self._recent.remember(self._notes.recent())
        await self._note_what_waits()
        await self._recent.remember(entries_of(await self._unstored()))
        kept, before = 0, None
        while kept < self._keep:
            rows = await self._table.newest(REFILL_PAGE, before, strictly=True)
            await self._recent.remember(entries_of(rows))
            kept += len(rows)
            if len(rows) < REFILL_PAGE:
                break
            before = _place(key_of_row(rows[-1]))
        if kept < self._keep and not self._is_credible(kept):
            raise BeingRebuilt(
                f"Cassandra has {kept:,} rows, far fewer than the log has statuses: make replay"
            )
        await self._recent.mark_complete(filling, trimmed=kept >= self._keep)
        log.info("Redis was filled with the newest %d transactions of Cassandra", kept)

    async def _note_what_waits(self) -> None:
        """Notes may be lost, the log is not."""
        self._notes.lost = (
            False  # before the log is read: what is lost from here on is to be found the next time
        )
        try:
            await self._recent.remember([pending_entry(one) for one in await self._undecided()])
        except BaseException:
            self._notes.lost = True
            raise

    def _is_credible(self, rows: int) -> bool:
        """Whether that can be the whole table: it may have been thrown away, and the log says how much there was."""
        log_length = self._log_length()
        return bool(rows) if log_length is None else rows * OFFSETS_A_ROW >= log_length


def _place(key: str) -> tuple[int, str]:
    bucket, _, transaction_id = key.partition(":")
    return int(bucket), transaction_id
