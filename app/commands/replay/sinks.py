"""What a replay writes into: Cassandra's table, the read model in Redis, through the clients of their own writers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from app.commands.shared.console import Named
from app.errors import Poison
from app.models.label import StoredLabel
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from app.settings import Settings
from app.stores.cassandra import Cassandra
from app.stores.consistency import REPAIR_LEVELS
from app.stores.labels_table import LabelsTable
from app.stores.recent_transactions import RecentTransactions, entries_of, pending_entry
from app.stores.transactions_table import TransactionsTable

#: Seconds a call to Redis may take: a replay is no GET.
REDIS_TIMEOUT = 10.0


class Emptied(Poison):
    """The store was emptied while it was filled; no retry helps."""


class Sink(Protocol):
    """A store; writing what is there already changes nothing."""

    async def open(self) -> None:
        """Connect; StoreUnavailable."""

    async def write(self, statuses: Sequence[TransactionStatus]) -> None:
        """Keep these, unless a higher revision is there; StoreUnavailable."""

    async def close(self) -> None:
        """Disconnect."""

    @property
    def has_all(self) -> bool:
        """Whether nothing of what was written so far must be written once more."""


class CassandraSink:
    """At ALL, so that each replica has the row, hints or not; at what the living replicas allow when one is dead.

    `hidden`: ids whose rows were written and cannot be seen, since a deletion has a later time than they have.
    """

    def __init__(self, settings: Settings):
        self._cassandra = Cassandra(settings)
        self._table = TransactionsTable(
            self._cassandra, settings.cassandra_timeout, settings.cassandra_timeout, REPAIR_LEVELS
        )
        self._labels = LabelsTable(self._cassandra, settings.cassandra_timeout, REPAIR_LEVELS)
        self.hidden = Named()

    async def open(self) -> None:
        """Connect; StoreUnavailable."""
        await self._cassandra.open()

    async def write(self, statuses: Sequence[TransactionStatus]) -> None:
        """The rows, read back; StoreUnavailable."""
        await self._table.store(statuses)
        if not self.short:  # else the run is to be repeated anyway
            there = await self._table.having_rows(statuses)
            ids = [status["transaction_id"] for status in statuses]
            self.hidden.add([id_ for id_ in ids if id_ not in there])

    async def write_labels(self, labels: Sequence[StoredLabel]) -> None:
        """Their rows, in a table that is made if it is missing; StoreUnavailable."""
        if not self._labels.is_made:
            await self._labels.make()
        await self._labels.store(labels)

    async def close(self) -> None:
        """Disconnect."""
        await self._cassandra.close()

    @property
    def has_all(self) -> bool:
        """On all replicas, and to be seen."""
        return not self.short and not self.hidden.count

    @property
    def short(self) -> int:
        """Rows that did not reach all of their replicas, at one try or other."""
        reached = self._table.reached + self._labels.reached
        return reached.total() - reached[REPAIR_LEVELS[0]]


class RedisSink:
    """The newest ones; with its sign of completeness taken away until all of the log has been through."""

    def __init__(self, settings: Settings):
        slow = settings.model_copy(update={"redis_timeout": REDIS_TIMEOUT})
        self._recent = RecentTransactions(slow)
        self._rebuilding = ""

    async def open(self) -> None:
        """Connect; StoreUnavailable."""
        await self._recent.open()
        await self._recent.ping()

    async def write(self, statuses: Sequence[TransactionStatus]) -> None:
        """The entries; StoreUnavailable, Emptied."""
        await self._recent.remember(entries_of(statuses))
        await self._check()

    async def write_pending(self, transactions: Sequence[Transaction]) -> None:
        """Those that nobody has decided yet; StoreUnavailable."""
        await self._recent.remember([pending_entry(one) for one in transactions])

    @property
    def has_all(self) -> bool:
        """There is one of it."""
        return True

    async def begin(self, *, with_the_table: bool) -> str:
        """From now on nobody takes Redis for complete; gives the note that `go_on` needs."""
        self._rebuilding = await self._recent.begin_rebuilding(with_the_table=with_the_table)
        return self._rebuilding

    async def go_on(self, metadata: str) -> bool:
        """Go on with what a killed run began; False when Redis has lost that meanwhile."""
        self._rebuilding = metadata
        return bool(metadata) and await self._recent.is_filled_by(metadata)

    async def finish(self) -> None:
        """All of the log has been through: complete."""
        await self._check()
        # What the bound let go has left its mark when it went.
        await self._recent.mark_complete(self._rebuilding, floor=None)

    async def _check(self) -> None:
        if self._rebuilding and not await self._recent.is_filled_by(self._rebuilding):
            raise Emptied(
                "Redis was emptied meanwhile, or another replay began: start it again, without --resume"
            )

    async def close(self) -> None:
        """Disconnect."""
        await self._recent.close()


async def open_all(sinks: Sequence[Sink]) -> None:
    """Each, or StoreUnavailable."""
    await asyncio.gather(*(sink.open() for sink in sinks))


async def write_all(sinks: Sequence[Sink], statuses: Sequence[TransactionStatus]) -> None:
    """Into each; StoreUnavailable when one did not take them all."""
    await asyncio.gather(*(sink.write(statuses) for sink in sinks))
