"""What happens to a transaction, top to bottom: decode, deduplicate, assess, tell, store. No Faust, no sockets.

transaction_created ─► decide ──────────────► tell ─────────────► store ───────► (delivery finishes the offset)
                       decode, deduplicate,   transaction_status  Cassandra
                       assess                 (poison: dead letters)
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

from app.assessment.fallback import Asking, WhenDown
from app.errors import Poison, Transient
from app.models.assessment import Assessment
from app.models.status import TransactionStatus, decided
from app.models.transaction import Transaction, id_in_key, same_content, unstorable
from app.observability import metrics
from app.observability.transaction_logger import Narrator
from app.processing.batch_processor import NOBODYS, Batch, Round
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.deduplication import MOST, DecidedIds, Place

log = logging.getLogger(__name__)

#: The reason of the dead letter of a record whose id has a verdict on something else.
OTHER_CONTENT = "transaction_id is decided already, for other content"


class Doors(Protocol):
    """What the pipeline asks of the world outside; each may raise Transient and is then asked again."""

    partitions: int  # of transaction_created, known from the first claim on

    async def decode(self, values: Sequence[bytes | None]) -> list[Transaction | Poison]:
        """Records of transaction_created."""

    async def claim(self, partition: int, from_offset: int | None, read_to: int, most: int) -> Claimed:
        """Own the status partition from now on, then read back whom it has a status of.

        As far as a status of a record before `from_offset`, if that is known, or to `read_to`, but `most` ids.
        """

    async def statuses_at(self, places: Sequence[Place]) -> dict[Place, TransactionStatus | Poison]:
        """The statuses at these places in the log, as far as they are there."""

    async def look_up(self, partition: int, transactions: Sequence[Transaction]) -> list[TransactionStatus]:
        """The statuses of those that have one in a store, or in the partition's past."""

    def is_elsewhere(self, partition: int, transaction_id: str) -> bool:
        """Whether records of this id are usually in another partition."""

    async def assess(self, transactions: Sequence[Transaction]) -> Sequence[Assessment]:
        """What antifraud says."""

    async def tell(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        """Into the log, all or none, and at which offsets; after a failure only `claim` can say whether."""

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


@dataclass(frozen=True, slots=True)
class Claimed:
    """What was read of a status partition: offsets by id, the newest first, up to `end`.

    `older_than_ms`: what is not among them was published before that time; None: there is nothing else.
    """

    offsets: dict[str, int]
    end: int
    older_than_ms: int | None = None


class Asked(NamedTuple):
    """A record of transaction_created; Poison where it cannot be read and only its key says whose it is."""

    partition: int
    record: Any
    transaction_id: str
    transaction: Transaction | Poison


#: A round that fails by a fault of ours is tried so often as a whole, then record by record.
TRIES_TOGETHER = 3


@dataclass(slots=True)
class Decided:
    """What a round has come to; a step that is repeated goes on where it was."""

    letters: list[DeadLetter] = field(default_factory=list)
    to_tell: dict[int, list[TransactionStatus]] = field(default_factory=dict)
    to_store: list[TransactionStatus] = field(default_factory=list)
    is_counted: bool = False  # by the limit of dead letters

    def add(self, other: Decided) -> None:
        """What was decided later, of the same round."""
        self.letters += other.letters
        for partition, statuses in other.to_tell.items():
            self.to_tell.setdefault(partition, []).extend(statuses)
        self.to_store += other.to_store


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
        self._decided = DecidedIds()
        self._under_way: dict[str, TransactionStatus] = {}  # decided and not yet told
        self._claimed: set[int] = set()  # partitions, in this generation
        self._claimed_for: Round | None = None
        self._generation = NOBODYS
        self._alone = RecordByRecord(self._decide)
        self._unsure: set[int] = set()  # partitions whose last tell failed

    async def decide(self, round_: Round) -> None:
        """Every transaction gets its verdict: the one that is in the log if there is one, else antifraud's."""
        await self._claim_new(round_)
        await self._alone.decide(round_)

    async def _claim_new(self, round_: Round) -> None:
        """What an earlier owner of a partition (or we, before a rebalance) told of these records already."""
        if round_ is self._claimed_for:
            return
        if round_.generation != self._generation:
            self._generation = round_.generation
            self._claimed.clear()
        # All that are ours, not only those that have a batch: what one of them has decided may be in another one too.
        topic = round_.batches[0].topic
        firsts: dict[int, int | None] = {number: None for name, number in round_.first_of if name == topic}
        for batch in reversed(round_.batches):
            if batch.partition in firsts:
                firsts[batch.partition] = batch.records[0].offset
        if firsts:
            # Nothing is at work while partitions are new, so these were given up untold.
            self._under_way.clear()
            most = MOST // len(firsts)
            await _all(self._claim(partition, offset, most) for partition, offset in firsts.items())
        self._claimed_for = round_

    async def _claim(self, partition: int, from_offset: int | None, most: int) -> None:
        read_to = self._decided.read_to(partition)
        claimed = await self._doors.claim(partition, from_offset, read_to, most)
        self._decided.read(partition, claimed.offsets, claimed.end, claimed.older_than_ms)
        self._claimed.add(partition)
        self._unsure.discard(partition)

    async def _decide(self, round_: Round) -> None:
        work = Decided()
        asked: list[Asked] = []
        for batch in round_.batches:
            records = await self._doors.decode([record.value for record in batch.records])
            for record, transaction in zip(batch.records, records, strict=True):
                poison = _poison(transaction)
                # A verdict stands also on what can be read no longer.
                id_ = id_in_key(record.key) if poison else transaction["transaction_id"]  # type: ignore[index]
                asked.append(Asked(batch.partition, record, id_, poison or transaction))
        fresh, repeated = _sorted(work, asked, await self._first_of(asked))
        self._file(work, fresh, await self._asking.assess([one.transaction for one in fresh]))  # type: ignore[misc]
        metrics.REPEATED.inc(repeated.total())
        for partition, count in repeated.items():
            log.info("%d verdicts of partition %d are in the log already: not asked again", count, partition)
        metrics.TWINS.inc(len(asked) - len(fresh) - len(work.letters) - repeated.total())
        metrics.OTHER_CONTENT.inc(sum(letter.reason == OTHER_CONTENT for letter in work.letters))
        round_.work = work

    async def _first_of(self, asked: Sequence[Asked]) -> dict[str, TransactionStatus | Poison]:
        """The statuses that these ids have already; Poison for one that cannot be read."""
        ids = [one.transaction_id for one in asked]
        found: dict[str, TransactionStatus | Poison] = {
            id_: self._under_way[id_] for id_ in self._under_way.keys() & ids
        }
        places = self._decided.places_of(ids)
        found |= await self._in_log({id_: place for id_, place in places.items() if id_ not in found})
        # A worker that does not have all partitions cannot know what another has decided.
        alone = len(self._claimed) == self._doors.partitions
        if places or self._decided.has_forgotten or not alone:
            now_ms = time.time() * 1000
            unsure = [
                one
                for one in asked
                if one.transaction_id not in found
                and (
                    one.transaction_id in places  # what the log has no longer, the stores have
                    or self._decided.may_be_forgotten(one.transaction_id, now_ms)
                    or (not alone and self._doors.is_elsewhere(one.partition, one.transaction_id))
                )
            ]
            found |= await self._looked_up(unsure)
        return found

    async def _looked_up(self, unsure: Sequence[Asked]) -> dict[str, TransactionStatus]:
        by_partition: dict[int, list[Transaction]] = {}
        for one in unsure:
            if not isinstance(one.transaction, Poison):
                by_partition.setdefault(one.partition, []).append(one.transaction)
        found = [await self._doors.look_up(partition, some) for partition, some in by_partition.items()]
        return {one["transaction_id"]: one for some in found for one in some}

    async def _in_log(self, places: Mapping[str, Place]) -> dict[str, TransactionStatus | Poison]:
        if not places:
            return {}
        there = await self._doors.statuses_at(list(places.values()))
        pairs = ((id_, there.get(place)) for id_, place in places.items())
        return {
            id_: one
            for id_, one in pairs
            if one and (isinstance(one, Poison) or one["transaction_id"] == id_)
        }

    def _file(self, work: Decided, fresh: Sequence[Asked], said: Sequence[Assessment]) -> None:
        now_ms = int(time.time() * 1000)
        for one, assessment in zip(fresh, said, strict=True):
            status = decided(one.transaction, assessment, one.partition, one.record.offset, now_ms)  # type: ignore[arg-type]
            work.to_tell.setdefault(one.partition, []).append(status)
            work.to_store.append(status)
            self._under_way[one.transaction_id] = status

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
        ours = work.to_tell[partition]
        if partition in self._unsure:
            await self._claim(partition, ours[0]["source_offset"], MOST)
        await self._drop_what_is_told(work, partition)
        if to_tell := work.to_tell[partition]:
            try:
                offsets = await self._doors.tell(partition, to_tell)
            except Transient:
                # It may be in the log, and somebody else may own the partition: look before the next try.
                self._unsure.add(partition)
                raise
            self._decided.published(partition, [one["transaction_id"] for one in to_tell], offsets)
            _count(to_tell)
        for one in ours:
            self._under_way.pop(one["transaction_id"], None)
        del work.to_tell[partition]

    async def _drop_what_is_told(self, work: Decided, partition: int) -> None:
        """Where the log has a verdict by now, that one is stored, and ours is dropped untold."""
        ours = work.to_tell[partition]
        found = await self._in_log(self._decided.places_of([one["transaction_id"] for one in ours]))
        if not found:
            return
        work.to_tell[partition] = [one for one in ours if one["transaction_id"] not in found]
        metrics.REPEATED.inc(len(found))
        to_store = [found.get(one["transaction_id"], one) for one in work.to_store]
        work.to_store = [one for one in to_store if not isinstance(one, Poison)]
        for id_, poison in found.items():
            if isinstance(poison, Poison):
                log.error("%s has a verdict in the log that cannot be read, and no row: %s", id_, poison)

    async def store(self, round_: Round) -> None:
        """The rows, derived from what is in the log."""
        work: Decided = round_.work
        if work.to_store:
            await self._doors.store(work.to_store)
        self._narrator.decided(work.to_store)


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Raises what one of them raised, but not before all have ended: what is tried again may not meet itself."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _count(told: Sequence[TransactionStatus]) -> None:
    for (status, reason), count in Counter((s["status"], s["reason"]) for s in told).items():
        metrics.VERDICTS.labels(status, reason or "").inc(count)


def _sorted(
    work: Decided, asked: list[Asked], firsts: Mapping[str, TransactionStatus | Poison]
) -> tuple[list[Asked], Counter[int]]:
    """Those to be assessed, and how many verdicts of each partition are repeated; the letters go to `work`.

    What is left is of the same content as one before it: that one is told and stored, and there is no more to do.
    """
    repeated: Counter[int] = Counter()
    if not firsts and _are_all_new(asked):
        return asked, repeated
    fresh: dict[str, Asked] = {}
    for one in asked:
        id_ = one.transaction_id
        first = firsts.get(id_) or (fresh[id_].transaction if id_ in fresh else None)
        if _is_on(first, one):
            work.to_store.append(first)  # type: ignore[arg-type]
            repeated[one.partition] += 1
        elif reason := _why_not(one.transaction, first):
            work.letters.append(DeadLetter(one.record, one.partition, reason))
        elif first is None:
            fresh[id_] = one
    return list(fresh.values()), repeated


def _are_all_new(asked: Sequence[Asked]) -> bool:
    """Nothing but transactions, each once, as nearly always."""
    if any(isinstance(one.transaction, Poison) for one in asked):
        return False
    return len({one.transaction_id for one in asked}) == len(asked)


def _why_not(transaction: Transaction | Poison, first: Transaction | Poison | None) -> str | None:
    if isinstance(transaction, Poison):
        return str(transaction)
    if isinstance(first, Poison):
        return f"transaction_id is decided already, and its status cannot be read: {first}"
    return None if first is None or same_content(transaction, first) else OTHER_CONTENT


def _is_on(status: Any, asked: Asked) -> bool:
    """Whether it is the status of this very record."""
    place = (asked.partition, asked.record.offset)
    return isinstance(status, dict) and (status.get("source_partition"), status.get("source_offset")) == place


def _poison(transaction: Transaction | Poison) -> Poison | None:
    if isinstance(transaction, Poison):
        return transaction
    reason = unstorable(transaction)
    return Poison(reason) if reason else None
