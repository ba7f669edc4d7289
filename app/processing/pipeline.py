"""What happens to a transaction, top to bottom: decode, deduplicate, assess, publish, store. No Faust, no sockets.

transaction_created ─► decide ──────────────► publish ──────────► store ───────► commit (assignment.py)
                       decode, deduplicate,   transaction_status  Cassandra
                       assess                 (poison: dead letters)

Before the first of them, as soon as the partitions are assigned: claim.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Protocol

from app.assessment.fallback import AssessmentFallback
from app.errors import Poison, Transient
from app.models.assessment import ANTIFRAUD_UNAVAILABLE, Assessment
from app.models.status import TransactionStatus, shadow_verdict
from app.models.transaction import Transaction, ages, id_of_record, same_content, unstorable
from app.observability import metrics
from app.observability.transaction_logger import TransactionLogger
from app.processing.added_partitions import AddedPartitions, Committed, Created
from app.processing.assessor import Asked, Assessor, Log
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.customer_state import CustomerState, Features
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.deduplication import MOST, DecidedIds, Place

log = logging.getLogger(__name__)

#: The reason of the dead letter of a record whose id has a verdict on something else.
OTHER_CONTENT = "transaction_id is decided already, for other content"


class Ports(Log, Created, Protocol):
    """What the pipeline needs from outside; each call may raise Transient and is then retried."""

    partitions: int  # of transaction_created, as of the last `count_partitions`
    records_read: int  # of the log, while customers' states are made of it

    async def decode(self, values: Sequence[bytes | None]) -> list[Transaction | Poison]:
        """Records of transaction_created."""

    async def count_partitions(self) -> None:
        """Learn how many there are, and which were added: once an assignment, since more of them begin another."""

    async def ancestors(self, partition: int) -> Sequence[int]:
        """Where the customers of an added partition were before, as long as it has no status; nothing for others."""

    async def claim(self, partition: int) -> None:
        """Own the status partition from now on: nobody else adds to it."""

    async def read_back(self, partition: int, from_offset: int, read_to: int, most: int) -> ReadBack:
        """Which ids have a status in the partition, read back from its end.

        As far as a status of a record before `from_offset`, or to `read_to`, but `most` ids.
        """

    def is_claimed(self, partition: int) -> bool:
        """Whether the status partition can be published to: not after a failure, nor once the claim is too old."""

    async def statuses_at(self, places: Sequence[Place]) -> dict[Place, TransactionStatus | Poison]:
        """The statuses at these places in the log, as far as they are there."""

    async def look_up(self, partition: int, transactions: Sequence[Transaction]) -> list[TransactionStatus]:
        """The statuses of those that have one in a store, or in the partition's past."""

    def may_be_elsewhere(self, partition: int, transaction: Transaction, sent_ms: int) -> bool:
        """Whether another partition may have this id too; `sent_ms`: when its producer sent this record."""

    async def assess(self, transactions: Sequence[Transaction], features: Features) -> Sequence[Assessment]:
        """Antifraud's verdicts, in order; `features`: a row for each."""

    async def publish(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        """Into the log, in order; their offsets. After a failure only `claim` can find out which are there."""

    async def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Into the dead-letter topic."""

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        """Into Cassandra."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that can never be processed, with its origin and the reason."""

    record: object
    partition: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What was read of a status partition: offsets by id, the newest first, up to `end`.

    `older_than_ms`: what is not among them was published before that time; None: there is nothing else.
    """

    offsets: dict[str, int]
    end: int
    older_than_ms: int | None = None


#: Status and reason: counted from 0 on, since a series that begins at 1 hides its first event.
KNOWN_VERDICTS = (("accepted", ""), ("rejected", ""), ("rejected", ANTIFRAUD_UNAVAILABLE))
#: How often a micro-batch that raises an unexpected exception (a bug) is tried as a whole, before record by record.
TRIES_TOGETHER = 3


@dataclass(slots=True)
class BatchState:
    """How far a micro-batch has come; a repeated step continues where it was."""

    dead_letters: list[DeadLetter] = field(default_factory=list)
    to_publish: dict[int, list[TransactionStatus]] = field(default_factory=dict)
    to_store: list[TransactionStatus] = field(default_factory=list)
    versions: dict[int, int] = field(
        default_factory=dict
    )  # of the customer states that the features are from
    is_counted: bool = False  # by the limit of dead letters

    def add(self, other: BatchState) -> None:
        """What was decided later, in the same micro-batch."""
        self.dead_letters += other.dead_letters
        for partition, statuses in other.to_publish.items():
            self.to_publish.setdefault(partition, []).extend(statuses)
        self.to_store += other.to_store
        # The oldest counts: what was made since is made again with it.
        self.versions = other.versions | self.versions


class RecordByRecord:
    """Finds the one record whose processing raises an unexpected exception: it becomes a dead letter."""

    def __init__(self, decide: Callable[[MicroBatch], Awaitable[None]]):
        self._decide = decide
        self._micro_batch: MicroBatch | None = None
        self._tries = 0
        self._done = 0  # records, when they are tried alone: a step that is repeated goes on where it was
        self._work = BatchState()

    async def decide(self, micro_batch: MicroBatch) -> None:
        """Together; after some tries alone."""
        if micro_batch is not self._micro_batch:
            self._micro_batch, self._tries, self._done, self._work = micro_batch, 0, 0, BatchState()
        if self._tries == TRIES_TOGETHER:
            await self._decide_alone(micro_batch)
            return
        try:
            await self._decide(micro_batch)
        except Transient:
            raise
        except Exception:
            self._tries += 1
            raise

    async def _decide_alone(self, micro_batch: MicroBatch) -> None:
        records = [(batch, record) for batch in micro_batch.batches for record in batch.records]
        for batch, record in records[self._done :]:
            await self._decide_one(micro_batch, batch, record)
            self._done += 1
        micro_batch.work = self._work

    async def _decide_one(self, micro_batch: MicroBatch, batch: Batch, record: Any) -> None:
        one = MicroBatch([replace(batch, records=[record])])
        try:
            await self._decide(one)
        except Transient:
            raise
        except Exception as exc:
            place = f"{batch.topic}[{batch.partition}]@{record.offset}"
            log.exception("%s is put into the dead letters: deciding it alone raises this", place)
            reason = str(exc) if isinstance(exc, Poison) else f"{type(exc).__name__}: {exc}"
            self._work.dead_letters.append(DeadLetter(record, batch.partition, reason))
        else:
            self._work.add(one.work)


class Pipeline:
    """The claim of one assignment's partitions, and the three steps of a micro-batch, in order, each safe to repeat."""

    def __init__(
        self,
        ports: Ports,
        fallback: AssessmentFallback,
        transaction_logger: TransactionLogger,
        limit: DeadLetterLimit,
        decided_ids: DecidedIds,
        customers: dict[int, CustomerState],
        partitions: Collection[int],
        committed: Committed,
        known: set[int],
    ):
        """`partitions`: those assigned. `decided_ids` tells of the log, and serves the next assignment too; so do
        `customers`, by partition, and `known`: the partitions that are ours, and of which both tell all that there is.
        """
        known.intersection_update(partitions)
        self._known = known
        self._ports = ports
        self._committed = committed
        self._assessor = Assessor(ports, fallback, customers, partitions)
        self._transaction_logger = transaction_logger
        self._limit = limit
        self._decided = decided_ids
        self._partitions = partitions
        # All that are ours, not only those with records: what one of them has decided may be in another one too.
        self._to_claim = set(partitions)
        #: Those that wait while the others go on: until they are claimed, or have their turn after they were added.
        self.held = set[int]()
        self._added = AddedPartitions(ports, committed, self.held)
        self._under_way: dict[str, TransactionStatus] = {}  # decided and not yet published
        self._alone = RecordByRecord(self._decide)
        for verdict in KNOWN_VERDICTS:
            metrics.VERDICTS.labels(*verdict)
        for status, shadow in product(("accepted", "rejected"), ("accepted", "rejected", "unknown")):
            metrics.SHADOW_VERDICTS.labels(status, shadow)

    async def claim(self) -> None:
        """Learn what an earlier owner published; nobody else publishes from now on.

        What has stayed ours is known, and need not wait for the others: these are left for `take_over`.
        """
        if not self._to_claim:
            return
        await self._ports.count_partitions()
        kept = list(filter(self._ports.is_claimed, self._known & self._to_claim))
        for partition in kept:
            self._assessor.kept(partition)
        self._to_claim.difference_update(kept)
        if kept:
            self.held |= self._to_claim
        else:
            await self._claim_rest()

    async def _claim_rest(self) -> None:
        if not self._to_claim:
            return
        goes_on_at = await self._committed(self._to_claim)
        most = MOST // len(self._partitions)
        await _all(self._claim_first(number, goes_on_at[number], most) for number in sorted(self._to_claim))

    async def _claim_first(self, partition: int, from_offset: int, most: int) -> None:
        self._known.discard(partition)
        if waits_for := await self._ports.ancestors(partition):
            await self._ports.claim(partition)
            await self._read_ids(partition, from_offset, most)
            self._added.hold(partition, waits_for)
        else:
            # What is there is read while Kafka makes the partition ours: so there is little to read after that.
            await _all(
                [
                    self._ports.claim(partition),
                    self._read_ids(partition, from_offset, most),
                    self._assessor.read_ahead(partition),
                ]
            )
            await self._read(partition, from_offset, most)
            self.held.discard(partition)
        self._to_claim.discard(partition)

    async def take_over(self) -> None:
        """Let those of `held` go on that need not wait any longer."""
        await self._claim_rest()
        for partition in await self._added.ready():
            await self._assessor.claimed(partition)
            self._known.add(partition)
            self._added.release(partition)

    async def decide(self, micro_batch: MicroBatch) -> None:
        """Every transaction gets its verdict: the one that is in the log if there is one, else antifraud's."""
        await self._alone.decide(micro_batch)

    async def _claim_again(self, partition: int, from_offset: int) -> None:
        self._known.discard(partition)
        await self._ports.claim(partition)
        await self._read(partition, from_offset, MOST)

    async def _read(self, partition: int, from_offset: int, most: int) -> None:
        """Of a partition that is ours: all that others, or a try that failed, have published there."""
        await _all([self._read_ids(partition, from_offset, most), self._assessor.claimed(partition)])
        self._known.add(partition)

    async def _read_ids(self, partition: int, from_offset: int, most: int) -> None:
        read_to = self._decided.read_to(partition)
        found = await self._ports.read_back(partition, from_offset, read_to, most)
        self._decided.read(partition, found.offsets, found.end, found.older_than_ms)

    async def _decide(self, micro_batch: MicroBatch) -> None:
        work = BatchState()
        asked: list[Asked] = []
        for batch in micro_batch.batches:
            records = await self._ports.decode([record.value for record in batch.records])
            for record, transaction in zip(batch.records, records, strict=True):
                poison = _poison(transaction)
                # A verdict stands also on what can be read no longer.
                id_ = id_of_record(record.key, record.headers) if poison else transaction["transaction_id"]  # type: ignore[index]
                asked.append(Asked(batch.partition, record, id_, poison or transaction))
        fresh, repeated = _sorted(work, asked, await self._first_decisions(asked))
        statuses, work.versions = await self._assessor.assess(fresh)
        self._file(work, statuses)
        metrics.REPEATED.inc(repeated.total())
        for partition, count in repeated.items():
            log.info("%d verdicts of partition %d are in the log already: not asked again", count, partition)
        metrics.DUPLICATES_SKIPPED.inc(len(asked) - len(fresh) - len(work.dead_letters) - repeated.total())
        metrics.OTHER_CONTENT.inc(
            sum(dead_letter.reason == OTHER_CONTENT for dead_letter in work.dead_letters)
        )
        micro_batch.work = work

    async def _first_decisions(self, asked: Sequence[Asked]) -> dict[str, TransactionStatus | Poison]:
        """The statuses that these ids have already; Poison for one that cannot be read."""
        ids = [one.transaction_id for one in asked]
        found: dict[str, TransactionStatus | Poison] = {
            id_: self._under_way[id_] for id_ in self._under_way.keys() & ids
        }
        places = self._decided.places_of(ids)
        found |= await self._in_log({id_: place for id_, place in places.items() if id_ not in found})
        # A worker that does not have all partitions, each claimed, cannot know what another has decided.
        alone = len(self._partitions) == self._ports.partitions and not self._to_claim
        if places or self._decided.has_forgotten or not alone:
            now_ms = time.time() * 1000
            in_doubt = [
                one
                for one in asked
                if one.transaction_id not in found
                and (
                    one.transaction_id in places  # what the log has no longer, the stores have
                    or self._decided.may_be_forgotten(one.transaction_id, now_ms)
                    or (not alone and self._may_be_elsewhere(one))
                )
            ]
            found |= await self._looked_up(in_doubt)
        return found

    def _may_be_elsewhere(self, one: Asked) -> bool:
        if isinstance(one.transaction, Poison):
            return False  # what cannot be read is not looked up
        return self._ports.may_be_elsewhere(one.partition, one.transaction, one.record.timestamp)

    async def _looked_up(self, in_doubt: Sequence[Asked]) -> dict[str, TransactionStatus]:
        by_partition: dict[int, list[Transaction]] = {}
        for one in in_doubt:
            if not isinstance(one.transaction, Poison):
                by_partition.setdefault(one.partition, []).append(one.transaction)
        found = [await self._ports.look_up(partition, some) for partition, some in by_partition.items()]
        return {one["transaction_id"]: one for some in found for one in some}

    async def _in_log(self, places: Mapping[str, Place]) -> dict[str, TransactionStatus | Poison]:
        if not places:
            return {}
        there = await self._ports.statuses_at(list(places.values()))
        pairs = ((id_, there.get(place)) for id_, place in places.items())
        return {
            id_: one
            for id_, one in pairs
            if one and (isinstance(one, Poison) or one["transaction_id"] == id_)
        }

    def _file(self, work: BatchState, statuses: Sequence[TransactionStatus]) -> None:
        for status in statuses:
            work.to_publish.setdefault(status["source_partition"], []).append(status)
            work.to_store.append(status)
            self._under_way[status["transaction_id"]] = status

    async def publish(self, micro_batch: MicroBatch) -> None:
        """Verdicts exist once they are in the log; a repeated try publishes only what is not there yet."""
        work: BatchState = micro_batch.work
        if not work.is_counted:
            self._limit.count(micro_batch, work.dead_letters)
            work.is_counted = True
        if work.dead_letters:
            await self._ports.dead_letter(work.dead_letters)
            metrics.DEAD_LETTERS.inc(len(work.dead_letters))
            work.dead_letters = []
        await _all(self._publish(work, partition) for partition in list(work.to_publish))

    async def _publish(self, work: BatchState, partition: int) -> None:
        ours = work.to_publish[partition]
        if partition not in self._known or not self._ports.is_claimed(partition):
            # A try that failed may be in the log, and somebody else may have owned the partition: look first.
            await self._claim_again(partition, ours[0]["source_offset"])
        await self._drop_published(work, partition)
        if len(work.to_publish[partition]) != len(ours):
            self._assessor.dropped(partition)
        if work.to_publish[partition]:
            await self._keep_current(work, partition)
            to_publish = work.to_publish[partition]
            offsets = await self._ports.publish(partition, to_publish)
            self._decided.published(partition, [one["transaction_id"] for one in to_publish], offsets)
            self._assessor.published(partition, offsets, to_publish)
            _count(to_publish)
            for one in to_publish:
                self._under_way.pop(one["transaction_id"], None)
        del work.to_publish[partition]

    async def _keep_current(self, work: BatchState, partition: int) -> None:
        """Where the log has gone another way since these were decided, they are decided by what it says now."""
        ours = work.to_publish[partition]
        current, work.versions[partition] = await self._assessor.current(
            partition, ours, work.versions[partition]
        )
        again = {
            one["transaction_id"]: one for one, before in zip(current, ours, strict=True) if one is not before
        }
        work.to_publish[partition] = current
        work.to_store = [again.get(one["transaction_id"], one) for one in work.to_store]
        self._under_way |= again

    async def _drop_published(self, work: BatchState, partition: int) -> None:
        """Where the log has a verdict by now, that one is stored and ours is dropped."""
        ours = work.to_publish[partition]
        found = await self._in_log(self._decided.places_of([one["transaction_id"] for one in ours]))
        if not found:
            return
        work.to_publish[partition] = [one for one in ours if one["transaction_id"] not in found]
        for id_ in found:  # here, since a later try does not have them any more
            self._under_way.pop(id_, None)
        metrics.REPEATED.inc(len(found))
        to_store = [found.get(one["transaction_id"], one) for one in work.to_store]
        work.to_store = [one for one in to_store if not isinstance(one, Poison)]
        for id_, poison in found.items():
            if isinstance(poison, Poison):
                log.error("%s has a verdict in the log that cannot be read, and no row: %s", id_, poison)

    async def store(self, micro_batches: Sequence[MicroBatch]) -> None:
        """The rows, derived from what is in the log."""
        statuses = [status for micro_batch in micro_batches for status in micro_batch.work.to_store]
        if statuses:
            await self._ports.store(statuses)
        self._transaction_logger.decided(statuses)
        await self._assessor.keep()


async def _all(calls: Iterable[Awaitable[None]]) -> None:
    """Raises what one of them raised, but not before all have ended: what is tried again may not meet itself."""
    for result in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(result, BaseException):
            raise result


def _count(published: Sequence[TransactionStatus]) -> None:
    for (status, reason), count in Counter((s["status"], s["reason"]) for s in published).items():
        metrics.VERDICTS.labels(status, reason or "").inc(count)
    shadows = Counter(
        (s["status"], shadow_verdict(s) or "unknown") for s in published if s.get("shadow_version")
    )
    for (status, shadow), count in shadows.items():
        metrics.SHADOW_VERDICTS.labels(status, shadow).inc(count)
    metrics.END_TO_END.observe_all(ages(published, time.time()))


def _sorted(
    work: BatchState, asked: list[Asked], firsts: Mapping[str, TransactionStatus | Poison]
) -> tuple[list[Asked], Counter[int]]:
    """Those to be assessed, and how many verdicts of each partition are repeated; dead letters go to `work`.

    What is left has the same content as one before it: that one is published and stored, nothing else is to do.
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
            work.dead_letters.append(DeadLetter(one.record, one.partition, reason))
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
