"""Held partitions go on behind a batch that `make pass-over` has put into the dead letters: the log itself says so."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from faust.types import TP

from app.errors import LogUnavailable
from app.messaging import topics
from app.messaging.dead_letters import NEXT, headers_of, source_of
from app.messaging.holds import AGAIN_AFTER, Holds, log
from app.messaging.tail_reader import Back, Take

#: Dead letters that are read back, at most, to find one.
DEAD_LETTERS_MOST = 100_000


class Tail(Protocol):
    """See app.messaging.tail_reader.TailReader."""

    async def read_back(self, topic: str, partition: int, take: Take, since: int = 0) -> Back:
        """The newest records, step by step."""


class Consumer(Protocol):
    """See app.messaging.consumer.BatchConsumer."""

    holds: Holds

    async def pass_over(self, tp: TP, offset: int) -> bool:
        """Go on at `offset`; False while that cannot be."""


class PassedOver:
    """Looks for the dead letters of batches that are in the way."""

    def __init__(self, tail: Tail, consumer: Consumer):
        self._tail, self._consumer = tail, consumer
        # By what is held: how far the dead letters were read at the last look, which had no dead letter of it.
        self._seen: dict[tuple[TP, int], int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for tp, hold in self._consumer.holds:
                try:
                    after = await self._after(tp, hold.offset)
                except LogUnavailable:
                    continue  # app.health.dependency_monitor says that Kafka does not answer
                if after is not None and await self._consumer.pass_over(tp, after):
                    log.warning("%s[%d] goes on at %d: what was in the way was passed over", *tp, after)
            await asyncio.sleep(AGAIN_AFTER)

    async def _after(self, tp: TP, offset: int) -> int | None:
        """The offset behind the batch at `offset`, if that one is in the dead letters."""
        after: list[int] = []
        looked_at = 0

        async def take(dead_letters: Sequence[Any]) -> bool:
            nonlocal looked_at
            looked_at += len(dead_letters)
            after.extend(
                int(headers[NEXT])
                for headers in map(headers_of, dead_letters)
                if source_of(headers) == (tp.topic, tp.partition, offset) and NEXT in headers
            )
            return bool(after) or looked_at > DEAD_LETTERS_MOST

        seen = self._seen.get((tp, offset), 0)
        back = await self._tail.read_back(topics.DEAD_LETTER, tp.partition, take, since=seen)
        if after:
            return after[0]
        self._seen[tp, offset] = back.end
        return None
