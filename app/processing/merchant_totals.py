"""What merchants did on the days that are over, written into topic merchant_totals, and what is known by it.

A merchant's customers are in all partitions, and a worker has some of them. So each worker writes down what merchants
did in its partitions, a stretch of the log at a time, and all read what all have written. A stretch's record is a
function of the stretch: it matters neither who writes it nor how often, since only one that follows on what is counted
counts. A worker that loses a partition, or its memory, therefore has nothing that it must hand over; what it does hand
over saves the next one the reading.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from app.errors import Transient
from app.messaging import topics
from app.messaging.codec import readable
from app.models.label import TransactionLabel
from app.models.merchant_totals import Source, Stretch, add_status, of_labels, of_statuses
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from app.processing.known_merchants import KnownMerchants
from app.retry import pauses
from history.merchant_totals import MerchantTotals
from history.transactions import DAY, Ints, day_of

if TYPE_CHECKING:
    from app.resources import Resources

log = logging.getLogger(__name__)

STATUSES: Source = "transaction_status"
LABELS: Source = "transaction_label"

#: Seconds between two looks whether a stretch has ended, and after a failure at most.
EVERY, EVERY_MOST = 2.0, 60.0
#: Seconds until what other workers have written is read.
NEWS_EVERY, NEVER = 30.0, -math.inf
#: A partition without a transaction for so long, in seconds, ends its day by the clock, this long after midnight.
IDLE, AFTER_MIDNIGHT = 600.0, 3600
#: Records of the log that are decoded at once. A transaction waits for such a piece each time it meets one: with 100,
#: what came alone took 2 ms longer until all was read.
AT_ONCE = 10
#: How much longer than the piece transactions have their turn then: while some are decided, and while there are none.
TURN_BUSY, TURN_IDLE = 9, 1
#: Seconds after a transaction in which some are decided.
BUSY_FOR = 1.0
#: Seconds for which a stop, or the next look, waits for what is handed over.
HANDED_OVER_WITHIN = 1.0
#: Records of transaction_label in one stretch.
LABELS_MOST = 500


class OpenStretch:
    """A stretch of a status partition that goes on until the first transaction of a later day, at most."""

    def __init__(self, partition: int, start: int):
        self._partition = partition
        self.start = self.next = start
        #: Those that have ended and are not written yet.
        self.ended: list[Stretch] = []
        self.totals = MerchantTotals()
        self.day = 0  # the latest
        self.changed_at = time.monotonic()

    def add(self, found: Iterable[tuple[int, TransactionStatus]], next_offset: int) -> None:
        """These (offset, status) follow, up to `next_offset`; those that are counted already are left out."""
        for offset, status in found:
            if offset < self.next:
                continue
            day = day_of(status["event_timestamp"])
            if day > self.day:
                self.end(offset)
                self.day = day
            add_status(self.totals, status)
        if next_offset > self.next:
            self.next, self.changed_at = next_offset, time.monotonic()

    def end(self, offset: int) -> None:
        """Before this offset, if there is anything in it."""
        if self.totals:
            self.ended.append(of_statuses(self._partition, self.start, offset, self.totals))
            self.totals = MerchantTotals()
            self.start = offset

    def written(self, stretches: Collection[Stretch]) -> None:
        """These of `ended` are in the topic."""
        self.ended = [one for one in self.ended if one not in stretches]


class MerchantTotalsKeeper:
    """Of a worker: what is known of merchants, and the stretches of its own partitions."""

    def __init__(self, resources: Resources):
        self.known = KnownMerchants()
        self._resources = resources
        self._open: dict[int, OpenStretch | None] = {}  # None: not begun yet
        self._left: list[OpenStretch] = []  # of partitions that others have now
        self._has_left = asyncio.Event()
        self._published_to: dict[int, int] = {}
        self._claims: Counter[int] = Counter()  # by partition, how often it was claimed
        self._news_at = NEVER
        self._asked_at = NEVER

    def assigned(self, partitions: Collection[int]) -> None:
        """These are ours from now on, and no others."""
        if left := [one for number, one in self._open.items() if one and number not in partitions]:
            self._left += left
            self._has_left.set()
        self._open = {number: self._open.get(number) for number in partitions}

    def features(self, transactions: Sequence[Transaction]) -> tuple[Ints | None, int | None]:
        """What is known of their merchants, and as of which offset of merchant_totals; None: nothing."""
        self._asked_at = time.monotonic()
        rows = self.known.features(
            [one["merchant_id"] for one in transactions], [one["event_timestamp"] for one in transactions]
        )
        return rows, None if rows is None else self.known.folded_to

    def published(
        self, partition: int, offsets: Sequence[int], statuses: Sequence[TransactionStatus]
    ) -> None:
        """Ours are at these offsets of the status partition; nobody else writes there."""
        before = self._published_to.get(partition)
        self._published_to[partition] = offsets[-1] + 1
        stretch = self._open.get(partition)
        # What is missing before them is read from the log, and they with it.
        if stretch is not None and before is not None and before <= stretch.next:
            stretch.add(zip(offsets, statuses, strict=True), offsets[-1] + 1)

    def claimed(self, partition: int) -> None:
        """Others may have written until now."""
        self._published_to.pop(partition, None)
        self._claims[partition] += 1
        self._news_at = NEVER

    async def hand_over(self) -> None:
        """At a stop: write what our stretches have until now, so that whoever is next need not read that again."""
        await self._hand_over([*self._take_left(), *filter(None, self._open.values())])

    def _take_left(self) -> list[OpenStretch]:
        left, self._left = self._left, []
        return left

    async def _hand_over(self, stretches: Sequence[OpenStretch]) -> None:
        """Best effort, and soon over: what is not written is read from the log."""
        for one in stretches:
            one.end(one.next)
        ended = [stretch for one in stretches for stretch in one.ended]
        if not ended:
            return
        with contextlib.suppress(TimeoutError, Transient):
            async with asyncio.timeout(HANDED_OVER_WITHIN):
                await self._publish(ended)
            for one in stretches:
                one.written(ended)
        self._news_at = NEVER

    async def run(self) -> None:
        """Without end."""
        tries, is_down = pauses(EVERY, EVERY_MOST), False
        while True:
            try:
                if self._resources.is_open:
                    await self.round(time.time())
            except Transient as exc:
                if not is_down:
                    log.warning("Merchants' totals wait for the log, and what is known stays: %s", exc)
                is_down = True
                await asyncio.sleep(next(tries))
            else:
                tries, is_down = pauses(EVERY, EVERY_MOST), False
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._has_left.wait(), EVERY)
                self._has_left.clear()

    async def round(self, now: float) -> None:
        """Read what is missing, write what has ended; Transient. `now`: seconds since 1970."""
        await self._hand_over(self._take_left())
        await self._read_news()
        for partition in sorted(self._open):
            await self._read_news()  # if there is reason to since
            if partition not in self._open:
                continue  # revoked since
            stretch = self._stretch(partition)
            await self._catch_up(partition, stretch)
            if _is_over(stretch, now):
                stretch.end(stretch.next)
            if ended := stretch.ended[:]:
                await self._write(ended)
                stretch.written(ended)  # another one may have ended since

    async def _read_news(self) -> None:
        if time.monotonic() - self._news_at >= NEWS_EVERY:
            await self.refresh()

    async def refresh(self) -> None:
        """Read what has been written since; LogUnavailable."""

        async def take(records: Sequence[Any]) -> None:
            for record in records:  # each has up to 2,000 rows: others have their turn in between
                self.known.fold(await readable(self._resources.merchant_totals, [record]), record.offset + 1)
                await asyncio.sleep(0)

        await self._resources.tail.read_on(topics.MERCHANT_TOTALS, 0, self.known.folded_to, take)
        self._news_at = time.monotonic()

    def _stretch(self, partition: int) -> OpenStretch:
        """The partition's; from where it is counted to, if that is no longer where ours began."""
        counted_to = self.known.counted_to.get((STATUSES, partition))
        stretch = self._open[partition]
        if stretch is None or (counted_to is not None and stretch.start != counted_to and not stretch.ended):
            stretch = self._open[partition] = OpenStretch(partition, counted_to or 0)
        return stretch

    async def _catch_up(self, partition: int, stretch: OpenStretch) -> None:
        """Read what it lacks of the log, slowly: what transactions need comes first."""
        if stretch.next == self._published_to.get(partition):
            return
        claims = self._claims[partition]

        async def take(records: Sequence[Any]) -> None:
            for first in range(0, len(records), AT_ONCE):
                began, some = time.monotonic(), records[first : first + AT_ONCE]
                stretch.add(await readable(self._resources.status, some), some[-1].offset + 1)
                ended = time.monotonic()
                turn = TURN_BUSY if ended - self._asked_at < BUSY_FOR else TURN_IDLE
                await asyncio.sleep(turn * (ended - began))

        end = await self._resources.tail.read_on(topics.STATUS, partition, stretch.next, take)
        stretch.add([], end)
        stretch.end(stretch.next)  # so that nobody has to read it again
        if self._claims[partition] == claims:  # else others may have written behind that end
            self._published_to.setdefault(partition, end)

    async def _write(self, ended: Sequence[Stretch]) -> None:
        """These, and what has been said of transactions since labels were last counted."""
        await self._publish(ended)
        await self.refresh()
        (label_partitions,) = await self._resources.producer.partition_counts((topics.LABEL,))
        for partition in range(label_partitions):
            while await self._write_labels(partition):
                await self.refresh()

    async def _write_labels(self, partition: int) -> bool:
        """Some of the partition's, if there are any that are not counted yet."""
        start = self.known.counted_to.get((LABELS, partition), 0)
        labels: list[TransactionLabel] = []

        async def take(records: Sequence[Any]) -> None:
            labels.extend(one for _, one in await readable(self._resources.label, records))

        end = await self._resources.tail.read_on(topics.LABEL, partition, start, take, most=LABELS_MOST)
        if end > start:
            await self._publish([of_labels(partition, start, end, labels)])
        return end > start

    async def _publish(self, stretches: Sequence[Stretch]) -> None:
        encode = self._resources.merchant_totals.encode
        await self._resources.producer.publish_batch(
            topics.MERCHANT_TOTALS,
            0,
            [(f"{one['source']}-{one['partition']}", encode(one), []) for one in stretches],
        )


def _is_over(stretch: OpenStretch, now: float) -> bool:
    """Whether its day is, and nothing comes that would say so."""
    is_idle = time.monotonic() - stretch.changed_at >= IDLE
    return is_idle and bool(stretch.totals) and now >= (stretch.day + 1) * DAY + AFTER_MIDNIGHT
