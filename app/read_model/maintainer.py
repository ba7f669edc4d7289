"""Keeps the read model in Redis complete: refills it from the log whenever it is empty or has missed something."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from app.errors import BeingRebuilt, LogUnavailable, Overloaded, StoreUnavailable, Transient
from app.observability import metrics
from app.read_model.log_reader import LogReader, Write
from app.read_model.pending_writer import PendingWriter
from app.read_model.state import ReadModelState, RedisState
from app.retry import pauses
from app.stores.recent_transactions import BeingRefilled, Entry, RecentTransactions

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds between two checks: a Redis that is back, or back but empty, is noticed within about this.
CHECK_EVERY = 0.5
#: Seconds between two refills that the log did not allow, at most: each reads it from its end again.
REFILL_EVERY_MOST = 5.0


class ReadModelMaintainer:
    """Checks Redis, refills it, and keeps in the state what GET may rely on."""

    def __init__(
        self, recent: RecentTransactions, log_reader: LogReader, notes: PendingWriter, state: ReadModelState
    ):
        self._recent = recent
        self._log_reader = log_reader
        self._notes = notes
        self._state = state
        self._policy_is_known = False
        self._waits_for: str | None = None  # the refill of another bff

    async def keep_complete(self) -> None:
        """Refill Redis whenever its completeness marker is missing and after each outage; runs until cancelled."""
        said, waits = False, pauses(CHECK_EVERY, REFILL_EVERY_MOST)
        while True:
            pause = CHECK_EVERY
            try:
                await self._look()
                metrics.READ_MODEL_COMPLETE.labels("redis").set(1)
                if said:
                    log.info("The read model in Redis is complete again")
                said, waits = False, pauses(CHECK_EVERY, REFILL_EVERY_MOST)
            except Overloaded:
                pass  # nothing was learnt: what was so before is so still
            except Transient as exc:
                self._state.complete_since = None
                self._state.being_rebuilt = isinstance(exc, BeingRebuilt)
                metrics.READ_MODEL_COMPLETE.labels("redis").set(0)
                if not said:
                    log.info("The read model in Redis is not complete, GET asks Cassandra: %s", exc)
                said = True
                if isinstance(exc, LogUnavailable):
                    pause = next(waits)
            await asyncio.sleep(pause)

    async def _look(self) -> None:
        # Forgotten also where this look fails: what the other one has filled may be gone then.
        waits_for, self._waits_for = self._waits_for, None
        complete = await self._answer()
        await self._warn_of_evictions()
        if complete and waits_for and await self._recent.was_filled_by(waits_for):
            self._state.redis = RedisState.MARKED  # what we would have written
        if self._state.is_behind or not complete:
            metrics.READ_MODEL_COMPLETE.labels("redis").set(0)
            self._state.complete_since = None
            await self._refill()
        elif self._notes.lost:
            await self._from_log(self._log_reader.write_pending)
        self._state.redis, self._state.being_rebuilt = RedisState.MARKED, False
        if self._state.complete_since is None:
            self._state.complete_since = time.monotonic()
        if self._state.may_lack_fields:
            await self._renew()

    async def _renew(self) -> None:
        """Write again what a bff of an earlier release has written: its entries lack what this release shows.

        Both take part in one group, so each status is written by one of them; a list of its own for each release would
        lack what the other has read. What is listed is right meanwhile, and who asks for one gets it from Cassandra.
        """
        self._state.may_lack_fields = (
            False  # before it is looked for: who leaves from now on is noticed next time
        )
        try:
            if await self._recent.has_lacking():
                await self._refill()
        except Transient as exc:
            self._state.may_lack_fields = True
            log.debug("Entries of an earlier release are still there: %s", exc)

    async def _answer(self) -> bool:
        """Whether Redis is complete by its marker; StoreUnavailable while it does not answer."""
        try:
            complete = await self._recent.is_complete()
        except StoreUnavailable:
            self._state.redis = RedisState.DOWN
            raise
        self._state.note_answered()
        return complete

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
        """The refill is registered in Redis before the log is read: if Redis is emptied meanwhile, no marker is set.

        Of several bffs one does it, the others wait.
        """
        try:
            filling = await self._recent.begin_filling()
        except BeingRefilled as exc:
            self._waits_for = exc.filling
            raise

        async def write(entries: Sequence[Entry]) -> None:
            await self._recent.remember(entries, again=True)
            await self._recent.go_on_filling(filling)

        newest = await self._from_log(lambda _: self._log_reader.write_newest(write))
        await self._recent.mark_complete(filling, floor=newest.floor)
        log.info("Redis was filled with the newest %d transactions of the log", newest.count)

    async def _from_log(self, read: Callable[[Write], Awaitable[T]]) -> T:
        """Write what `read` finds into Redis: notes of pending transactions may be lost, the log is not."""
        losses = self._notes.losses  # what is lost from now on is found next time
        found = await read(self._recent.remember)
        self._notes.made_good(losses)
        return found
