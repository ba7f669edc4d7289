"""`faust -A app.main reassess`: what was rejected because no antifraud replica answered gets a verdict.

The new verdict is a status record of its own, revision + 1, in the partition of the first. Published, then stored,
a batch at a time; a run that was killed in between is completed by the next one, which stores the last batches again.
"""

from __future__ import annotations

import time
import zlib
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import faust
import numpy as np
from faust.cli import option

from app.assessment.client import Antifraud
from app.commands.shared.console import Progress, friendly_errors, with_retries
from app.commands.shared.topic_reader import TopicReader, partitions_of
from app.errors import Poison
from app.messaging import topics
from app.messaging.codec import Codec
from app.messaging.fenced_writer import FencedWriter, Outgoing
from app.models.assessment import ANTIFRAUD_UNAVAILABLE, Assessment
from app.models.status import FIRST_VERDICT, TransactionStatus, decided_again, features_of
from app.models.transaction import id_in_key
from app.settings import Settings
from app.stores.cassandra import Cassandra
from app.stores.transactions_table import TransactionsTable

BATCH = 500
#: Transactions that are held in memory at once: some 100 bytes each. What is more is done in several readings.
MOST = 1_000_000
#: The revision of a status that cannot be read: higher than any.
UNKNOWN_REVISION = 2**40


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(option("--dry-run/--no-dry-run", default=False, help="Count, change nothing."))
    async def reassess(self: Any, dry_run: bool) -> None:
        """Ask antifraud about what was rejected with reason antifraud_unavailable."""
        with friendly_errors("reassess"):
            await (counted(settings) if dry_run else run(settings))


class TooMany(Exception):
    """More transactions than fit in memory: take a part of them."""


class Slice(NamedTuple):
    """Part `number` of `of`, from 0 on: a share of all transactions, by a hash of their ids."""

    one: int = 0
    of: int = 1

    def has(self, transaction_id: str) -> bool:
        """Whether it is one of these."""
        return zlib.crc32(transaction_id.encode()) % self.of == self.one

    def halves(self) -> tuple[Slice, Slice]:
        """The same ones in two parts."""
        return Slice(self.one, 2 * self.of), Slice(self.one + self.of, 2 * self.of)


class ReassessmentBacklog:
    """What the log says of a slice: who waits for a re-assessment, and which ones may not have been stored."""

    def __init__(self, part: Slice, most: int = MOST):
        self._part, self._most = part, most
        # By a hash of the id, since a million texts would be too much: the highest revision, doubled, and one more if
        # that one waits. Only of those that wait or waited once.
        self._known: dict[int, int] = {}
        # A batch is published, then stored: of each partition only the last one can be missing in Cassandra.
        self._last: dict[int, deque[TransactionStatus]] = defaultdict(lambda: deque(maxlen=BATCH))
        self.unreadable = 0

    def note(self, status: TransactionStatus) -> None:
        """The next record of the log; TooMany."""
        revision, waits = status["revision"], status["reason"] == ANTIFRAUD_UNAVAILABLE
        if not (waits or revision > FIRST_VERDICT) or not self._part.has(status["transaction_id"]):
            return
        key = hash(status["transaction_id"])
        if revision <= self._known.get(key, 0) // 2:
            return  # published again
        self._keep(key, 2 * revision + waits)
        if revision > FIRST_VERDICT:
            self._last[status["source_partition"]].append(status)

    def note_unreadable(self, transaction_id: str) -> None:
        """It may be the verdict that this one waits for: leave it alone; TooMany."""
        if self._part.has(transaction_id):
            self.unreadable += 1
            self._keep(hash(transaction_id), 2 * UNKNOWN_REVISION)

    def _keep(self, key: int, value: int) -> None:
        self._known[key] = value
        if len(self._known) > self._most:
            raise TooMany

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(value % 2 for value in self._known.values())

    def takes(self, status: TransactionStatus) -> bool:
        """Whether this is the record that says that it waits; once."""
        key = hash(status["transaction_id"])
        if self._known.get(key, 0) != 2 * status["revision"] + 1 or not self._part.has(
            status["transaction_id"]
        ):
            return False
        self._known[key] = 2 * status["revision"]
        return True

    @property
    def perhaps_not_stored(self) -> list[TransactionStatus]:
        """The last batch of each partition."""
        return [status for last in self._last.values() for status in last]


class Batches:
    """Collects those that wait into batches of one partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, list[TransactionStatus]] = defaultdict(list)

    def add(self, status: TransactionStatus) -> list[TransactionStatus]:
        """Gives the batch that is full with it, else nothing."""
        those = self._partitions[status["source_partition"]]
        those.append(status)
        return self._partitions.pop(status["source_partition"]) if len(those) == BATCH else []

    def rest(self) -> list[list[TransactionStatus]]:
        """What is not full."""
        return list(self._partitions.values())


class Topic:
    """transaction_status, read from its beginning to its present end as often as is needed."""

    def __init__(self, settings: Settings, codec: Codec):
        self._settings, self._codec = settings, codec

    async def found(self, part: Slice) -> ReassessmentBacklog:
        """Who waits; TooMany."""
        found = ReassessmentBacklog(part)
        async for record, status in self.statuses("reading transaction_status"):
            if isinstance(status, Poison):
                found.note_unreadable(id_in_key(record.key))
            else:
                found.note(status)
        return found

    async def statuses(self, what: str) -> AsyncIterator[tuple[Any, TransactionStatus | Poison]]:
        """Each record and what it says."""
        async with TopicReader(self._settings, topics.STATUS) as reader:
            await reader.seek()
            progress = Progress(what, reader.total)
            async for records in reader.chunks(2000):
                statuses = await self._codec.decode([record.value for record in records])
                for record, status in zip(records, statuses, strict=True):
                    yield record, status
                progress.add(len(records))

    async def slices(self) -> AsyncIterator[ReassessmentBacklog]:
        """All of them, as few at a time as fit in memory."""
        left = [Slice()]
        while left:
            part = left.pop()
            try:
                found = await self.found(part)
            except TooMany:
                left += part.halves()
                continue
            yield found


async def counted(settings: Settings) -> None:
    """Say how many there are; change nothing."""
    waiting = unreadable = 0
    async for found in Topic(settings, await topics.reader(settings, topics.STATUS)).slices():
        waiting += found.waiting
        unreadable += found.unreadable
    print(f"reassess: {waiting:,} transactions would be assessed again")
    _report_unreadable(unreadable)


async def run(settings: Settings) -> None:
    """Fence an earlier run, read the log, then decide, publish and store batch after batch."""
    cassandra, antifraud = Cassandra(settings), Antifraud(settings)
    table = TransactionsTable(cassandra, settings.cassandra_timeout, settings.read_timeout)
    codec = await topics.register(settings, topics.STATUS)
    counts: Counter[str] = Counter()
    unreadable = 0
    await antifraud.open()
    try:
        await cassandra.open()
        async with FencedWriter(settings, "reassess", await partitions_of(settings, topics.STATUS)) as writer:
            log, progress = Topic(settings, codec), Progress("reassess", 0)
            async for found in log.slices():
                unreadable += found.unreadable
                await with_retries(partial(table.store, found.perhaps_not_stored))
                async for batch in _batches(log, found):
                    # By what was known when it was first assessed: a re-assessment does not see the future.
                    known = np.array([features_of(status) for status in batch], np.int64)
                    said = await with_retries(partial(antifraud.assess, batch, known))
                    statuses = again(batch, said, int(time.time() * 1000))
                    await writer.publish(outgoing(codec, statuses))
                    await with_retries(partial(table.store, statuses))
                    progress.add(len(statuses))
                    counts.update(status["status"] for status in statuses)
    finally:
        await antifraud.close()
        await cassandra.close()
    words = "".join(f"; {count:,} {name}" for name, count in sorted(counts.items()))
    print(f"reassess: {progress.ended()}{words}")
    _report_unreadable(unreadable)


async def _batches(log: Topic, found: ReassessmentBacklog) -> AsyncIterator[list[TransactionStatus]]:
    if not found.waiting:
        return
    batches = Batches()
    async for _, status in log.statuses("reading those that wait"):
        if not isinstance(status, Poison) and found.takes(status) and (full := batches.add(status)):
            yield full
    for batch in batches.rest():
        yield batch


def _report_unreadable(count: int) -> None:
    if count:
        raise SystemExit(
            f"{count:,} records of transaction_status could not be read: whether theirs were assessed again is not "
            "known, so they are left alone. Which ones: make verify"
        )


def again(
    batch: Sequence[TransactionStatus], said: Sequence[Assessment], now_ms: int
) -> list[TransactionStatus]:
    """The next revision of each."""
    return [decided_again(status, assessment, now_ms) for status, assessment in zip(batch, said, strict=True)]


def outgoing(codec: Codec, statuses: Sequence[TransactionStatus]) -> list[Outgoing]:
    """Their records: the partition is their source's, as the first verdict's was."""
    return [
        Outgoing(topics.STATUS, s["source_partition"], s["transaction_id"].encode(), codec.encode(s), [])
        for s in statuses
    ]
