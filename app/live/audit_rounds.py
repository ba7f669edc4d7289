"""The audit's questions to the log, Cassandra and Redis, again and again while somebody watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from app.errors import LogUnavailable, StoreUnavailable, Transient
from app.live.audit import Audit, Followed
from app.live.feed import LiveFeed
from app.messaging import consumer_groups, topics
from app.models.status import FIRST_VERDICT, key_of_row
from app.read_model.state import ReadModelState
from app.resources import Resources

#: Seconds between two rounds.
EVERY = 0.5
#: Seconds that the audit goes on after the last time that somebody asked.
WATCHED = 30.0
#: Transactions that a round asks each store about, at most.
AT_ONCE = 1000
NOT_BEGUN = "the count has just begun"


class AuditRounds:
    """Runs the audit, and says what it has found."""

    def __init__(self, resources: Resources, feed: LiveFeed, audit: Audit, state: ReadModelState):
        self._resources = resources
        self._feed = feed
        self._audit = audit
        self._state = state
        self._asked = asyncio.Event()
        self._asked_at = 0.0
        self._round_at: float | None = None  # seconds since 1970, of the last round that everything answered
        self._why_not = NOT_BEGUN

    def truth(self) -> dict[str, Any]:
        """The counts, how old they are, and whether all is as it should be; asking keeps the audit going."""
        self._asked_at = time.monotonic()
        self._asked.set()
        state, words = self._audit.words()
        if state == "ok" and self._why_not:
            state, words = "unknown", self._why_not
        counts = self._audit.snapshot()
        return {"since": self._audit.since, "at": self._round_at, **counts, "state": state, "words": words}

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._asked.wait()
            with self._feed.in_use():
                while time.monotonic() - self._asked_at < WATCHED:
                    await self._round()
                    await asyncio.sleep(EVERY)
            self._asked.clear()
            self._round_at, self._why_not = None, NOT_BEGUN

    async def _round(self) -> None:
        if not self._feed.is_live:
            self._why_not = "the log cannot be read; what is in it is counted as soon as Kafka answers"
            return
        silent = []
        committed: dict[int, int] = {}
        try:
            committed = await self._ask_log()
        except Transient:
            silent.append("Kafka")
        for ask in (self._ask_cassandra, self._ask_redis):
            try:
                await ask(committed)
            except Transient:
                silent.append("Cassandra" if ask == self._ask_cassandra else "Redis")
        self._why_not = (
            f"{' and '.join(silent)} cannot be asked; what is there is counted later" if silent else ""
        )
        self._round_at = time.time()

    async def _ask_log(self) -> dict[int, int]:
        """Whether what is overdue is there; the committed offsets, if something waits for them."""
        if overdue := self._audit.overdue_in_log():
            if not await self._feed.has_read_all(topics.CREATED):
                raise LogUnavailable("the log was not read to its end")
            self._audit.not_in_log(overdue)
        verdicts = self._audit.overdue_verdicts()
        if not verdicts and not self._audit.not_stored(1):
            return {}
        committed = await consumer_groups.committed_offsets(self._resources.settings, topics.CREATED)
        late = [id_ for id_, (partition, offset) in verdicts.items() if offset < committed.get(partition, 0)]
        if late:
            for topic in (topics.STATUS, topics.DEAD_LETTER):
                if not await self._feed.has_read_all(topic):
                    raise LogUnavailable("the log was not read to its end")
            self._audit.committed_without_verdict(late)
        return committed

    async def _ask_cassandra(self, committed: Mapping[int, int]) -> None:
        asked = self._audit.not_stored(AT_ONCE)
        if not asked:
            return
        table = self._resources.table
        there = await table.revisions_of([one.key for one in asked])
        self._audit.stored(there.keys())
        late = [one for one in asked if one.transaction_id not in there and _is_committed(one, committed)]
        # Rows written while fewer than a quorum of replicas lived may be on any one: all must say no.
        if late := self._audit.late(late):
            rows = await table.rows_of([one.key for one in late], everywhere=True)
            found = {row["transaction_id"] for row in rows}
            self._audit.stored(found)
            self._audit.without_row(one.transaction_id for one in late if one.transaction_id not in found)

    async def _ask_redis(self, _: Mapping[int, int]) -> None:
        asked = {key_of_row(one.key): one for one in self._audit.not_readable(AT_ONCE)}
        if not asked:
            return
        if not self._state.answers:
            self._audit.readable([one.transaction_id for one in asked.values()])  # GET reads the rows
            raise StoreUnavailable("Redis does not answer")
        there = await self._resources.recent.revisions_of(list(asked))
        shown = {key for key, revision in there.items() if revision >= FIRST_VERDICT}
        reach = await self._resources.recent.reach(1)
        # Below its oldest, and while it lacks something, GET reads the rows.
        below = min(reach.oldest, default="") if reach.complete and not self._state.is_behind else None
        shown |= {key for key in asked if below is None or key < below}
        self._audit.readable([asked[key].transaction_id for key in shown])
        late = self._audit.late(one for key, one in asked.items() if key not in shown)
        self._audit.not_shown(one.transaction_id for one in late)


def _is_committed(one: Followed, committed: Mapping[int, int]) -> bool:
    partition, offset = one.place
    return offset < committed.get(partition, 0)
