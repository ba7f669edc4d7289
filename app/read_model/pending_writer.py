"""Transactions that Redis shall show as pending: best effort, in the background, bounded.

A POST waits for it only while other bffs show what this one has taken.
"""

from __future__ import annotations

import asyncio
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
        self._written: asyncio.Future[None] | None = None  # done when the next write is, or has failed
        self.has_backlog = False  # what was noted could not be written yet: a list in Redis lacks it
        #: Some may never be written: too many at once, or in the hands of a bff that ended, as one may have before us.
        self.lost = True

    def add(self, transaction: Transaction) -> None:
        """Show it as pending, soon."""
        entry = pending_entry(transaction)
        self.lost = self.lost or len(self._entries) == AT_MOST
        self._entries.append(entry)
        self._noted.append(entry)
        self._some.set()

    def find(self, key: str) -> str | None:
        """One that was noted lately, by its sort key, as JSON: pending, unless it has been decided since."""
        return next((detail_of(entry) for noted, _, entry in self._noted if noted == key), None)

    async def written(self, timeout: float) -> None:
        """Wait until all that was noted so far is in Redis; not longer than so many seconds, and not for a dead one."""
        if self._written is None:
            self._written = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._written], timeout=timeout)

    async def run(self) -> None:
        """Write what was noted, all at once, again and again, until cancelled."""
        waits = pauses(PAUSE, PAUSE_MOST)
        while True:
            await self._some.wait()
            self._some.clear()
            entries = list(self._entries)
            self._entries.clear()
            written, self._written = self._written, None
            try:
                await self._recent.remember(entries)
            except Transient:
                self.lost = self.lost or len(entries) + len(self._entries) > AT_MOST
                self._entries.extendleft(reversed(entries))
                self._some.set()
                self.has_backlog = True
            else:
                self.has_backlog, waits = False, pauses(PAUSE, PAUSE_MOST)
            finally:
                if written is not None:
                    written.set_result(None)
            if self.has_backlog:
                await asyncio.sleep(next(waits))
