"""Consumer lag of transaction_created: records, seconds, trend; also while no worker lives."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from app.errors import LogUnavailable
from app.messaging import topics
from app.messaging.tail_reader import TailReader
from app.system.groups import Groups

#: Seconds over which the trend is taken.
TREND_OVER = 10.0
#: Records a second that a trend must have for a time until zero.
TREND_LEAST = 1.0
#: Offsets behind the committed one among which the oldest record is looked for: markers of transactions have some too.
MARKERS_MOST = 16

#: A partition and a committed offset in it.
Place = tuple[int, int]


class Lag:
    """What the last looks at the groups say."""

    def __init__(self, tail: TailReader):
        self._tail = tail
        self._behind: dict[int, int] = {}  # records, by partition
        self._ages: Mapping[int, float] = {}  # seconds, by partition, as the workers say
        self._committed: Mapping[int, int] | None = None
        self._written: dict[
            Place, float | None
        ] = {}  # the oldest record's time; None: only markers are behind
        self._trend: deque[tuple[float, int]] = deque()
        self._look_up: asyncio.Task[None] | None = None

    def update(self, groups: Groups, ages: Mapping[int, float], at: float) -> None:
        """`ages`: how old the oldest record in hand is, by partition, from the workers that live."""
        before = self._committed
        still = [] if before is None else [p for p in groups.ends if before.get(p) == groups.committed.get(p)]
        self._committed, self._ages = groups.committed, ages
        self._behind = {p: max(0, end - groups.committed.get(p, 0)) for p, end in groups.ends.items()}
        places = {p: (p, groups.committed.get(p, 0)) for p in self._behind}
        self._written = {place: self._written[place] for place in places.values() if place in self._written}
        for partition, place in places.items():
            if place in self._written and self._written[place] is None:
                if self._behind[partition] <= MARKERS_MOST:
                    self._behind[partition] = 0
                else:
                    del self._written[place]  # records have come since
        self._trend.append((at, self.records))
        while at - self._trend[0][0] > TREND_OVER:
            self._trend.popleft()
        # An offset that stands still, and no worker that says how old what is behind it is: the log knows.
        unknown = [
            p for p in still if self._behind.get(p) and not ages.get(p) and places[p] not in self._written
        ]
        if unknown and (self._look_up is None or self._look_up.done()):
            self._look_up = asyncio.create_task(self._find(places[unknown[0]], groups.ends[unknown[0]]))

    @property
    def records(self) -> int:
        """In all partitions."""
        return sum(self._behind.values())

    def document(self, now: float) -> dict[str, Any]:
        """As GET /api/v1/system has it."""
        partitions: list[dict[str, Any]] = [
            {"partition": p, "records": behind, "seconds": self._seconds(p, now)}
            for p, behind in sorted(self._behind.items())
        ]
        ages = [one["seconds"] for one in partitions]
        slope = self._slope()
        falls = slope is not None and slope <= -TREND_LEAST and self.records
        return {
            "records": self.records,
            "seconds": None if None in ages else max(ages, default=0.0),
            "per_second": None if slope is None else round(slope, 2),
            "seconds_to_zero": round(self.records / -slope, 1) if falls and slope else None,
            "partitions": partitions,
        }

    def _seconds(self, partition: int, now: float) -> float | None:
        """How old the oldest record that is not committed is; None while that is not known."""
        if not self._behind[partition]:
            return 0.0
        if age := self._ages.get(partition):
            return round(age, 3)
        written = self._written.get((partition, (self._committed or {}).get(partition, 0)))
        return None if written is None else round(max(0.0, now - written), 3)

    def _slope(self) -> float | None:
        if not self._trend:
            return None
        (first_at, first), (last_at, last) = self._trend[0], self._trend[-1]
        return (last - first) / (last_at - first_at) if last_at > first_at else None

    async def _find(self, place: Place, end: int) -> None:
        partition, offset = place
        try:
            offsets = range(offset, min(end, offset + MARKERS_MOST))
            found = await self._tail.at(topics.CREATED, partition, offsets)
        except LogUnavailable:
            return
        oldest = found[min(found)].timestamp / 1000 if found else None
        if oldest is not None or end - offset <= MARKERS_MOST:
            self._written[place] = oldest

    async def close(self) -> None:
        """End the look at the log."""
        if self._look_up is not None:
            self._look_up.cancel()
            await asyncio.gather(self._look_up, return_exceptions=True)
