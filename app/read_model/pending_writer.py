"""Transactions that Redis shall show as pending: best effort, in the background, bounded.

A POST waits for it only while other bffs show what this one has taken.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from app.errors import Transient
from app.models.transaction import Transaction
from app.retry import pauses
from app.stores.recent_transactions import Entry, RecentTransactions, detail_of, pending_entry

AT_MOST = 10_000
#: Seconds after a failure; doubled up to the second.
PAUSE, PAUSE_MOST = 0.1, 1.0


class PendingWriter:
    """Noted by POST and written together a moment later; a refill has them from the log."""

    def __init__(self, recent: RecentTransactions):
        self._recent = recent
        self._entries: deque[Entry] = deque(maxlen=AT_MOST)
        self._noted: deque[Entry] = deque(maxlen=AT_MOST)
        self._some = asyncio.Event()
        self._write_ends = asyncio.Event()  # set for a moment
        self._count = self._in_redis = 0  # of all that was noted, and of these what needs no writing any more
        self.has_backlog = False  # what was noted could not be written yet: a list in Redis lacks it
        #: How often some may have been lost, by now: too many at once, or in the hands of a bff that ended, as one may
        #: have before us.
        self.losses = 1
        self._made_good = 0

    @property
    def lost(self) -> bool:
        """Whether some may never be written by this."""
        return self.losses > self._made_good

    def made_good(self, losses: int) -> None:
        """Those of so many losses are in Redis."""
        self._made_good = max(losses, self._made_good)

    def add(self, transaction: Transaction) -> None:
        """Show it as pending, soon."""
        entry = pending_entry(transaction)
        self.losses += len(self._entries) == AT_MOST
        self._count += 1
        self._entries.append(entry)
        self._noted.append(entry)
        self._some.set()

    def find(self, key: str) -> str | None:
        """One that was noted lately, by its sort key, as JSON: pending, unless it has been decided since."""
        return next((detail_of(entry) for noted, _, entry in self._noted if noted == key), None)

    async def written(self, timeout: float) -> bool:
        """Whether all that was noted so far is in Redis, within so many seconds; a dead Redis is not waited for."""
        noted = self._count
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._in_redis < noted:
                    await self._write_ends.wait()
                    if self.has_backlog:
                        break
        return self._in_redis >= noted

    async def run(self) -> None:
        """Write what was noted, all at once, again and again, until cancelled."""
        waits = pauses(PAUSE, PAUSE_MOST)
        while True:
            await self._some.wait()
            self._some.clear()
            entries, count = list(self._entries), self._count
            self._entries.clear()
            try:
                await self._recent.remember(entries)
            except Transient:
                self.losses += len(entries) + len(self._entries) > AT_MOST
                self._entries.extendleft(reversed(entries))
                self._some.set()
                self.has_backlog = True
            else:
                self.has_backlog, waits = False, pauses(PAUSE, PAUSE_MOST)
                self._in_redis = count
            finally:
                self._write_ends.set()
                self._write_ends.clear()
            if self.has_backlog:
                await asyncio.sleep(next(waits))
