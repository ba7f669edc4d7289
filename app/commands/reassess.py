"""`faust -A app.main reassess`: what was rejected because no antifraud replica answered gets a verdict.

The new verdict is a status record of its own, revision + 1, in the partition of the first. Told, then stored, a batch
at a time; a run that was killed in between is completed by the next one, which stores the last batches again.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import faust
from faust.cli import option

from app import topics
from app.clients.antifraud import Antifraud
from app.clients.cassandra import Cassandra
from app.clients.transactions_table import TransactionsTable
from app.codec import Codec
from app.commands.reading import Reader
from app.commands.running import Progress, ends_in_a_sentence, tried
from app.commands.writing import OneWriter, Outgoing
from app.errors import Poison
from app.models.assessment import ANTIFRAUD_UNAVAILABLE, Assessment
from app.models.status import FIRST_VERDICT, TransactionStatus, decided_again
from app.settings import Settings

BATCH = 500


def register(app: faust.App, settings: Settings) -> None:
    """Put the command on the app."""

    @app.command(option("--dry-run/--no-dry-run", default=False, help="Count, change nothing."))
    async def reassess(self: Any, dry_run: bool) -> None:
        """Ask antifraud about what was rejected with reason antifraud_unavailable."""
        with ends_in_a_sentence("reassess"):
            if dry_run:
                found = await found_in_log(settings)
                print(f"reassess: {len(found.waiting):,} transactions would be assessed again")
            else:
                await run(settings)


class Found:
    """What the log says: who waits for a re-assessment, and which ones may not have been stored."""

    def __init__(self) -> None:
        self.waiting: dict[str, TransactionStatus] = {}
        self._revisions: dict[str, int] = {}
        # A batch is told, then stored: of each partition only the last one can be missing in Cassandra.
        self._last: dict[int, deque[TransactionStatus]] = defaultdict(lambda: deque(maxlen=BATCH))

    def note(self, status: TransactionStatus) -> None:
        """The next record of the log."""
        id_, revision = status["transaction_id"], status["revision"]
        if revision <= self._revisions.get(id_, 0):
            return  # told again
        unassessed = status["reason"] == ANTIFRAUD_UNAVAILABLE
        if unassessed or revision > FIRST_VERDICT:
            self._revisions[id_] = revision
        if revision > FIRST_VERDICT:
            self._last[status["source_partition"]].append(status)
        if unassessed:
            self.waiting[id_] = status
        else:
            self.waiting.pop(id_, None)

    @property
    def perhaps_not_stored(self) -> list[TransactionStatus]:
        """The last batch of each partition."""
        return [status for last in self._last.values() for status in last]

    def batches(self) -> list[list[TransactionStatus]]:
        """Those that wait, each batch of one partition, oldest first."""
        partitions: dict[int, list[TransactionStatus]] = defaultdict(list)
        for status in self.waiting.values():
            partitions[status["source_partition"]].append(status)
        return [
            those[start : start + BATCH]
            for those in partitions.values()
            for start in range(0, len(those), BATCH)
        ]


async def found_in_log(settings: Settings) -> Found:
    """Read transaction_status from its beginning to its present end."""
    codec = await topics.reader(settings, topics.STATUS)
    found = Found()
    async with Reader(settings, topics.STATUS) as reader:
        await reader.seek()
        progress = Progress("reading transaction_status", reader.total)
        async for records in reader.chunks(2000):
            for status in await codec.decode([record.value for record in records]):
                if not isinstance(status, Poison):
                    found.note(status)
            progress.add(len(records))
    return found


async def run(settings: Settings) -> None:
    """Shut out an earlier run, read the log, then decide, tell and store batch after batch."""
    cassandra, antifraud = Cassandra(settings), Antifraud(settings)
    table = TransactionsTable(cassandra, settings.cassandra_timeout, settings.read_timeout)
    codec = await topics.register(settings, topics.STATUS)
    await antifraud.open()
    try:
        await cassandra.open()
        async with OneWriter(settings, "reassess") as writer:
            found = await found_in_log(settings)
            await tried(partial(table.store, found.perhaps_not_stored))
            progress = Progress("reassess", len(found.waiting))
            counts: defaultdict[str, int] = defaultdict(int)
            for batch in found.batches():
                said = await tried(partial(antifraud.assess, batch))
                statuses = again(batch, said, int(time.time() * 1000))
                await writer.write(outgoing(codec, statuses))
                await tried(partial(table.store, statuses))
                progress.add(len(statuses))
                for status in statuses:
                    counts[status["status"]] += 1
    finally:
        await antifraud.close()
        await cassandra.close()
    words = "".join(f"; {count:,} {name}" for name, count in sorted(counts.items()))
    print(f"reassess: {progress.ended()}{words}")


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
