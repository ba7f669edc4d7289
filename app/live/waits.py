"""GET …?wait=: who waits for a transaction's status is woken by the record in the log, nobody polls."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from itertools import islice

from app.errors import NotReadableYet
from app.live.feed import LiveFeed, Written
from app.models.status import TransactionStatus
from app.stores.recent_transactions import detail_of, entry_of

Find = Callable[[], Awaitable[str | None]]

#: Statuses kept: one that was published a moment before somebody waits for it may not be in the stores yet.
KEPT = 5000


class StatusWaits:
    """The futures of those who wait, by transaction_id."""

    def __init__(self) -> None:
        self.feed: LiveFeed | None = None  # which has us among its listeners
        self._lately: dict[str, TransactionStatus] = {}
        self._waiting: defaultdict[str, set[asyncio.Future[str]]] = defaultdict(set)

    async def until(self, until: float, find: Find, transaction_id: str) -> str | None:
        """What `find` finds; if that is not decided yet, or on its way into the stores, its status, or `until` is over.

        `until`: of time.monotonic. NotReadableYet, and what else `find` raises.
        """
        if until <= time.monotonic() or self.feed is None:
            return await find()
        with self.feed.in_use(), self.waiting(transaction_id) as decided:
            with contextlib.suppress(NotReadableYet):
                found = await find()
                if found is None or not _is_pending(found):
                    return found
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until - time.monotonic()):
                    return await decided
            return await find()

    @contextlib.contextmanager
    def waiting(self, transaction_id: str) -> Iterator[asyncio.Future[str]]:
        """A future that gets the transaction as JSON, as GET shows it, as soon as a status is published."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        if transaction_id in self._lately:
            answer.set_result(_shown(self._lately[transaction_id]))
        waiting = self._waiting[transaction_id]
        waiting.add(answer)
        try:
            yield answer
        finally:
            waiting.discard(answer)
            if not waiting:
                self._waiting.pop(transaction_id, None)

    def begin(self, offsets: Mapping[int, int]) -> None:
        """What was published lately is not what was published last."""
        self._lately.clear()

    def take(self, written: Written) -> None:
        """More was written."""
        for one in written.statuses:
            transaction_id = one.value["transaction_id"]
            self._lately.pop(transaction_id, None)  # the newest last
            self._lately[transaction_id] = one.value
            for answer in self._waiting.get(transaction_id, ()):
                if not answer.done():
                    answer.set_result(_shown(one.value))
        for transaction_id in list(islice(self._lately, max(0, len(self._lately) - KEPT))):
            del self._lately[transaction_id]

    def went_live(self) -> None:
        """Nothing to do."""


def _shown(status: TransactionStatus) -> str:
    """As GET of one transaction shows it."""
    return detail_of(entry_of(status)[2])


def _is_pending(entry: str) -> bool:
    return bool(json.loads(entry)["status"] == "pending")
