"""What happens to a transaction, top to bottom: decode, recall, twins, assess, tell, store. No Faust, no sockets.

transaction_created ─► decide ──────────────► tell ─────────────► store ───────► (delivery finishes the offset)
                       decode, recall, twins, transaction_status  Cassandra
                       assess                 (poison: dead letters)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from app import metrics
from app.asking import Asking, WhenDown
from app.dead_letter_limit import DeadLetterLimit
from app.delivery import Batch, Round
from app.errors import Poison, Transient
from app.models.assessment import Assessment
from app.models.status import TransactionStatus, decided
from app.models.transaction import MAY_BE_TWICE, Transaction, unstorable
from app.narration import Narrator
from app.twins import Fresh, Twins

log = logging.getLogger(__name__)


class Doors(Protocol):
    """What the pipeline asks of the world outside; each may raise Transient and is then asked again."""

    async def decode(self, values: Sequence[bytes | None]) -> list[Transaction | Poison]:
        """Records of transaction_created."""

    async def recall(self, partition: int, from_offset: int) -> dict[int, TransactionStatus]:
        """Own the partition from now on; first verdicts on its records from `from_offset` on, by source offset."""

    async def decided_before(self, partition: int, transactions: Sequence[Transaction]) -> set[str]:
        """The ids of those that have a verdict in the partition's past."""

    async def assess(self, transactions: Sequence[Transaction]) -> Sequence[Assessment]:
        """What antifraud says."""

    async def tell(self, partition: int, statuses: Sequence[TransactionStatus]) -> None:
        """Into the log, all or none; after a failure only `recall` can say which."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Into the dead-letter topic."""

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        """Into Cassandra."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record nobody can handle, with its origin and the reason."""

    record: object
    partition: int
    reason: str


#: A round that fails by a fault of ours is tried so often as a whole, then record by record.
TRIES_TOGETHER = 3


@dataclass(slots=True)
class Decided:
    """What a round has come to; a step that is repeated goes on where it was."""

    letters: list[DeadLetter] = field(default_factory=list)
    to_tell: dict[int, list[TransactionStatus]] = field(default_factory=dict)
    to_store: list[TransactionStatus] = field(default_factory=list)
    is_counted: bool = False  # by the limit of dead letters
    marked: list[tuple[int, str]] = field(default_factory=list)  # of these, what may be in the log twice

    def add(self, other: Decided) -> None:
        """What was decided later, of the same round."""
        self.letters += other.letters
        for partition, statuses in other.to_tell.items():
            self.to_tell.setdefault(partition, []).extend(statuses)
        self.to_store += other.to_store
        self.marked += other.marked


class RecordByRecord:
    """Finds the one record for which deciding a round raises what is not Transient: it becomes a dead letter."""

    def __init__(self, decide: Callable[[Round], Awaitable[None]]):
        self._decide = decide
        self._round: Round | None = None
        self._tries = 0
        self._done = 0  # records, when they are tried alone: a step that is repeated goes on where it was
        self._work = Decided()

    async def decide(self, round_: Round) -> None:
        """Together; after some tries alone."""
        if round_ is not self._round:
            self._round, self._tries, self._done, self._work = round_, 0, 0, Decided()
        if self._tries == TRIES_TOGETHER:
            await self._decide_alone(round_)
            return
        try:
            await self._decide(round_)
        except Transient:
            raise
        except Exception:
            self._tries += 1
            raise

    async def _decide_alone(self, round_: Round) -> None:
        records = [(batch, record) for batch in round_.batches for record in batch.records]
        for batch, record in records[self._done :]:
            await self._decide_one(round_, batch, record)
            self._done += 1
        round_.work = self._work

    async def _decide_one(self, round_: Round, batch: Batch, record: Any) -> None:
        one = Round([replace(batch, records=[record])], round_.generation)
        try:
            await self._decide(one)
        except Transient:
            raise
        except Exception as exc:
            place = f"{batch.topic}[{batch.partition}]@{record.offset}"
            log.exception("%s is put into the dead letters: deciding it alone raises this", place)
            reason = str(exc) if isinstance(exc, Poison) else f"{type(exc).__name__}: {exc}"
            self._work.letters.append(DeadLetter(record, batch.partition, reason))
        else:
            self._work.add(one.work)


class Pipeline:
    """The three steps of a round, in order, each safe to repeat."""

    def __init__(
        self,
        doors: Doors,
        narrator: Narrator,
        *,
        when_down: WhenDown,
        patience: float,
        limit: DeadLetterLimit | None = None,
    ):
        """`when_down` and `patience` (seconds): what is decided when antifraud cannot be asked, and after how long."""
        self._limit = limit or DeadLetterLimit()
        self._doors = doors
        self._narrator = narrator
        self._asking = Asking(doors.assess, narrator, when_down=when_down, patience=patience)
        self._recalled: dict[int, dict[int, TransactionStatus]] = {}
        self._twins = Twins(doors.decided_before)
        self._alone = RecordByRecord(self._decide)
        self._unsure: set[int] = set()  # partitions whose last tell failed

    async def decide(self, round_: Round) -> None:
        """Every record gets its verdict: the one in the log if there is one, else antifraud's."""
        await self._recall_new(round_)
        await self._alone.decide(round_)

    async def _decide(self, round_: Round) -> None:
        work = Decided()
        fresh: list[Fresh] = []
        for batch in round_.batches:
            known = self._recalled.get(batch.partition, {})
            records = await self._doors.decode([record.value for record in batch.records])
            for record, transaction in zip(batch.records, records, strict=True):
                twice = MAY_BE_TWICE in record.headers
                if verdict := _verdict_on(transaction, known.get(record.offset)):
                    work.to_store.append(verdict)
                    if twice:
                        work.marked.append((batch.partition, verdict["transaction_id"]))
                elif poison := _poison(transaction):
                    work.letters.append(DeadLetter(record, batch.partition, poison))
                else:
                    fresh.append(Fresh(batch.partition, record.offset, transaction, twice))  # type: ignore[arg-type]
        repeated = len(work.to_store)
        firsts = await self._twins.firsts(fresh, [id_ for _, id_ in work.marked])
        self._file(work, firsts, await self._asking.assess([one.transaction for one in firsts]))
        metrics.REPEATED.inc(repeated)
        metrics.TWINS.inc(len(fresh) - len(firsts))
        round_.work = work

    async def _recall_new(self, round_: Round) -> None:
        """What an earlier owner of a partition (or we, before a rebalance) told of these records already."""
        firsts: dict[int, int] = {}
        for batch in round_.batches:
            if (batch.topic, batch.partition) in round_.first_of:
                firsts.setdefault(batch.partition, batch.records[0].offset)
                self._twins.forget(batch.partition)
        await _all(self._recall(partition, offset) for partition, offset in firsts.items())

    async def _recall(self, partition: int, from_offset: int) -> None:
        known = self._recalled[partition] = await self._doors.recall(partition, from_offset)
        self._unsure.discard(partition)
        if known:
            log.info(
                "%d verdicts of partition %d are in the log already: not asked again", len(known), partition
            )

    def _file(self, work: Decided, fresh: Sequence[Fresh], said: Sequence[Assessment]) -> None:
        now_ms = int(time.time() * 1000)
        for (partition, offset, transaction, twice), assessment in zip(fresh, said, strict=True):
            status = decided(transaction, assessment, partition, offset, now_ms)
            work.to_tell.setdefault(partition, []).append(status)
            work.to_store.append(status)
            if twice:
                work.marked.append((partition, transaction["transaction_id"]))
        self._twins.decided(work.marked)

    async def tell(self, round_: Round) -> None:
        """The verdicts exist once they are in the log; a repeated try tells only what is not there yet."""
        work: Decided = round_.work
        if not work.is_counted:
            self._limit.count(round_, work.letters)
            work.is_counted = True
        if work.letters:
            await self._doors.bury(work.letters)
            metrics.DEAD_LETTERS.inc(len(work.letters))
            work.letters = []
        await _all(self._tell(work, partition) for partition in list(work.to_tell))

    async def _tell(self, work: Decided, partition: int) -> None:
        if partition in self._unsure:
            await self._recall(partition, work.to_tell[partition][0]["source_offset"])
        self._repeat_known(work, partition)
        if work.to_tell[partition]:
            try:
                await self._doors.tell(partition, work.to_tell[partition])
            except Transient:
                # It may be in the log, and somebody else may own the partition: look before the next try.
                self._unsure.add(partition)
                raise
            _count(work.to_tell[partition])
        del work.to_tell[partition]

    def _repeat_known(self, work: Decided, partition: int) -> None:
        """Where the log has a verdict by now, that one is stored, and ours is dropped untold."""
        known = self._recalled.get(partition, {})
        ours = work.to_tell[partition]
        found = {o: v for s in ours if (v := _verdict_on(s, known.get(o := s["source_offset"])))}
        work.to_tell[partition] = [s for s in ours if s["source_offset"] not in found]
        metrics.REPEATED.inc(len(found))
        if found:
            work.to_store = [
                found.get(s["source_offset"], s) if s["source_partition"] == partition else s
                for s in work.to_store
            ]

    async def store(self, round_: Round) -> None:
        """The rows, derived from what is in the log."""
        work: Decided = round_.work
        if work.to_store:
            await self._doors.store(work.to_store)
        self._twins.stored(work.marked)
        self._narrator.decided(work.to_store)


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Raises what one of them raised, but not before all have ended: what is tried again may not meet itself."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _count(told: Sequence[TransactionStatus]) -> None:
    for (status, reason), count in Counter((s["status"], s["reason"]) for s in told).items():
        metrics.VERDICTS.labels(status, reason or "").inc(count)


def _verdict_on(
    transaction: Transaction | Poison, recorded: TransactionStatus | None
) -> TransactionStatus | None:
    """What is recorded for its place, unless of another transaction: in a topic made anew the offsets begin again."""
    if recorded is None or isinstance(transaction, Poison):
        return recorded
    return recorded if recorded["transaction_id"] == transaction["transaction_id"] else None


def _poison(transaction: Transaction | Poison) -> str | None:
    if isinstance(transaction, Poison):
        return str(transaction)
    return unstorable(transaction)
