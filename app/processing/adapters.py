"""The pipeline's ports on the real systems: codecs, Kafka, antifraud, Cassandra."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from app.errors import LogUnavailable, Poison, StoreUnavailable
from app.messaging import topics
from app.messaging.codec import readable
from app.messaging.dead_letters import LEAST, MOST, dead_letter_of
from app.messaging.growth import SWITCHED_WITHIN, Growth, Origin, ancestors, growths, made_with
from app.messaging.kafka_errors import log_unavailable
from app.messaging.partitioner import partition_of
from app.messaging.tail_reader import high_watermarks
from app.models.assessment import Assessment
from app.models.status import TransactionStatus
from app.models.transaction import Transaction, id_in_key, millis_of_id
from app.observability import tracing
from app.processing.customer_state import CustomerState, Features
from app.processing.deduplication import CLOCKS_APART, Place
from app.processing.merchant_totals import MerchantTotalsKeeper
from app.processing.pipeline import DeadLetter, ReadBack
from app.processing.recovery import recover
from app.processing.snapshot_keeper import SnapshotKeeper

if TYPE_CHECKING:
    from app.resources import Resources
log = logging.getLogger(__name__)

#: Milliseconds from an id's making to its record's sending, at most, where the record is the id's first.
SENT_AT_ONCE = 1000
#: Milliseconds for which other producers may go on with the old number of partitions, and clocks be apart.
OLD_COUNT_FOR = SWITCHED_WITHIN + CLOCKS_APART


class Adapters:
    """See app.processing.pipeline.Ports."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._dead_letter_bytes = MOST  # bytes
        self._claimed_at: dict[int, float] = {}  # by partition, seconds since 1970
        self.partitions = self.records_read = 0
        self._growths: list[Growth] = []
        # Of added partitions: when that was, in milliseconds since 1970; and what their first status will say.
        self._added_at: dict[int, int] = {}
        self._to_record: dict[int, Origin] = {}
        self._snapshots = SnapshotKeeper(resources.snapshots)
        self.merchants = MerchantTotalsKeeper(resources)

    async def decode(self, values: Sequence[bytes | None]) -> list[Transaction | Poison]:
        """Records of transaction_created, or what is wrong with them."""
        return await self._resources.created.decode(values)

    async def count_partitions(self) -> None:
        """How many transaction_created has, and the growths on record."""
        names = topics.CREATED, topics.PARTITIONS_ADDED
        self.partitions, has_grown = await self._resources.producer.partition_counts(names)
        self._growths = await growths(self._resources.tail) if has_grown else []

    async def claim(self, partition: int) -> None:
        """Claim the status partition, so that nobody else can add to what is then read back."""
        await self._resources.status_log.claim(partition)
        self._claimed_at[partition] = time.time()

    async def read_back(self, partition: int, from_offset: int, read_to: int, most: int) -> ReadBack:
        """Which ids have a status there (see app.processing.recovery)."""
        return await recover(self._resources, partition, from_offset, read_to, most)

    def is_claimed(self, partition: int) -> bool:
        """By this worker, and not too long ago."""
        return self._resources.status_log.is_claimed(partition)

    async def ancestors(self, partition: int) -> list[int]:
        """As long as no status says what it begins with."""
        if not (found := ancestors(partition, self._growths)):
            return []
        first = await self._first_status(partition)
        self._added_at[partition] = first.timestamp if first else int(time.time() * 1000)
        return [] if first else found

    async def asked_to(self, partitions: Collection[int]) -> dict[int, int]:
        """Where these partitions of transaction_created end now."""
        return await self._ends(topics.CREATED, partitions)

    async def _ends(self, topic: str, partitions: Collection[int]) -> dict[int, int]:
        with log_unavailable(f"the ends of {topic} could not be read"):
            ends = await high_watermarks(
                self._resources.settings, [TopicPartition(topic, partition) for partition in partitions]
            )
        return {tp.partition: end for tp, end in ends.items()}

    async def is_undecided(self, partition: int, offset: int, end: int) -> bool:
        """Whether there is a record in between."""
        return not await self._resources.tail.has_none(topics.CREATED, partition, offset, end)

    async def customer_state(self, partition: int) -> CustomerState:
        """From its snapshot, and from the log what has happened since; without one from all of the log."""
        began = time.monotonic()
        state = await self._snapshots.restored(partition, self._is_status)
        read_from = state.folded_to
        self._to_record.pop(partition, None)
        if not read_from:
            await self._begin(partition, state)

        await self.catch_up(partition, state)
        log.info(
            "Partition %d: the histories of %d customers are known after %.1f s, offsets %d to %d read from the log",
            partition, len(state.history), time.monotonic() - began, read_from, state.folded_to,
        )  # fmt: skip
        return state

    async def catch_up(self, partition: int, state: CustomerState) -> None:
        """Fold in what its status partition has got since; what is under way is taken off, and is to be made again.

        Step by step: a worker that slept for long has missed much. What is observed between two steps is off again.
        """

        async def take(records: Sequence[Any]) -> None:
            found = await readable(self._resources.status_for_history, records)
            state.rewind()
            state.fold(found, records[-1].offset + 1)
            self.records_read += len(records)

        end = await self._resources.tail.read_on(topics.STATUS, partition, state.folded_to, take)
        state.rewind()
        state.fold([], end)

    async def _first_status(self, partition: int) -> Any:
        return await self._resources.tail.first_since(topics.STATUS, partition, 0, lambda _: True)

    async def _begin(self, partition: int, state: CustomerState) -> None:
        """An added partition begins with what others have of its customers: as its first status says, or by now."""
        if first := await self._first_status(partition):
            if origin := Origin.of(first):
                await self._inherit(state, origin)
        elif before := ancestors(partition, self._growths):
            ends = await self._ends(topics.STATUS, before)
            origin = Origin(
                partition, made_with(partition, self._growths), tuple((one, ends[one]) for one in before)
            )
            await self._inherit(state, origin)
            state.is_on_record, self._to_record[partition] = False, origin

    async def _inherit(self, state: CustomerState, origin: Origin) -> None:
        async def take(records: Sequence[Any]) -> None:
            found = await readable(self._resources.status_for_history, records)
            state.inherit(
                (offset, one) for offset, one in found if offset < end and origin.has(one["customer_id"])
            )
            self.records_read += len(records)

        for ancestor, end in origin.until:
            await self._resources.tail.read_on(topics.STATUS, ancestor, 0, take, most=end)
        log.info(
            "Partition %d was added: it begins with the histories of %d customers from %s",
            origin.partition, len(state.history), ", ".join(f"{one} up to {end}" for one, end in origin.until),
        )  # fmt: skip

    async def _is_status(self, partition: int, offset: int, transaction_id: str) -> bool:
        """Whether the log has its status there."""
        status = (await self.statuses_at([(partition, offset)])).get((partition, offset))
        return isinstance(status, dict) and status["transaction_id"] == transaction_id

    async def keep(self, partition: int, state: CustomerState) -> None:
        """A snapshot, if it is time for one."""
        self._snapshots.keep(partition, state)

    async def statuses_at(self, places: Sequence[Place]) -> dict[Place, TransactionStatus | Poison]:
        """The statuses at these places in the log, as far as they are there."""
        found: dict[Place, TransactionStatus | Poison] = {}
        for partition in {partition for partition, _ in places}:
            offsets = (offset for number, offset in places if number == partition)
            records = await self._resources.tail.at(topics.STATUS, partition, offsets)
            statuses = await self._resources.status.decode([record.value for record in records.values()])
            found |= {(partition, offset): s for offset, s in zip(records, statuses, strict=True)}
        return found

    async def look_up(self, partition: int, transactions: Sequence[Transaction]) -> list[TransactionStatus]:
        """Their rows; where Cassandra cannot answer, their statuses in the log.

        Rows written while fewer than a quorum of replicas lived, by us or by an earlier owner of the partition, may be
        on any one replica: for what was asked before the last such moment that we know of, all must say no.
        """
        table = self._resources.table
        whole_since = max(
            self._claimed_at.get(partition, time.time()), self._resources.cassandra.stepped_down_at
        )
        older_than = whole_since + CLOCKS_APART / 1000
        try:
            found = await table.rows_of(transactions, everywhere=False)
            ids = {row["transaction_id"] for row in found}
            missing = [one for one in transactions if one["transaction_id"] not in ids]
            if older := [one for one in missing if _asked_first_at(one) < older_than]:
                found += await table.rows_of(older, everywhere=True)
        except StoreUnavailable:
            return await self._published_before(partition, transactions)
        return found

    async def _published_before(
        self, partition: int, transactions: Sequence[Transaction]
    ) -> list[TransactionStatus]:
        """Reads the status partition back to before the oldest of the transactions was asked."""
        oldest = min(map(_asked_first_at, transactions)) * 1000 - CLOCKS_APART
        ids = {one["transaction_id"] for one in transactions}
        found: list[TransactionStatus] = []

        async def take(records: Sequence[Any]) -> bool:
            values = [one.value for one in records if id_in_key(one.key) in ids]
            found.extend(
                one for one in await self._resources.status.decode(values) if not isinstance(one, Poison)
            )
            return any(record.timestamp < oldest for record in records)

        for number in (partition, *ancestors(partition, self._growths)):
            await self._resources.tail.read_back(topics.STATUS, number, take)
        return found

    def may_be_elsewhere(self, partition: int, transaction: Transaction, sent_ms: int) -> bool:
        """Whether the default of most producers puts this customer into another partition.

        Until records were keyed by customer_id their key was the id: what was sent again since, long after its id was
        made, may have a record where the id belongs. What was made before its partition was added may have one in the
        partition where the customer was then.
        """
        if partition_of(transaction["customer_id"].encode(), self.partitions) != partition:
            return True
        made = millis_of_id(transaction["transaction_id"])
        added_at = self._added_at.get(partition)
        if added_at is not None and (made is None or made < added_at + OLD_COUNT_FOR):
            return True
        if made is not None and sent_ms - made < SENT_AT_ONCE:
            return False
        return partition_of(transaction["transaction_id"].encode(), self.partitions) != partition

    async def assess(self, transactions: Sequence[Transaction], features: Features) -> Sequence[Assessment]:
        """Through Envoy."""
        return await self._resources.antifraud.assess(transactions, features)

    async def publish(self, partition: int, statuses: Sequence[TransactionStatus]) -> list[int]:
        """Into transaction_status, in the partition of the same number."""
        encode, headers = self._resources.status.encode, tracing.outgoing.get()
        keyed = ((status["transaction_id"], status) for status in statuses)
        records = [(key, encode(status), headers.get(key, [])) for key, status in keyed]
        if origin := self._to_record.get(partition):
            key, value, others = records[0]
            records[0] = key, value, [*others, *origin.headers]
        offsets = await self._resources.status_log.publish(partition, records)
        self._to_record.pop(partition, None)
        return offsets

    async def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Into the dead-letter topic, each as far as the topic takes it (see app.messaging.dead_letters)."""
        for dead_letter in dead_letters:
            content = dead_letter_of(dead_letter.record, dead_letter.reason, self._dead_letter_bytes)
            try:
                # A batch has no end of its own in aiokafka. Written twice, it counts once (DeadLetterSources).
                with log_unavailable("Kafka did not take a dead letter in time"):
                    async with asyncio.timeout(self._resources.settings.status_publish_timeout):
                        await self._resources.producer.publish_batch(
                            topics.DEAD_LETTER, dead_letter.partition, [content]
                        )
            except Poison as exc:
                # What Kafka has refused puts all behind it out of order: the next try writes smaller ones.
                self._dead_letter_bytes = max(LEAST, self._dead_letter_bytes // 2)
                raise LogUnavailable(f"a dead letter is written again, smaller: {exc}") from exc

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        """Into Cassandra."""
        await self._resources.table.store(statuses)


def _asked_first_at(transaction: Transaction) -> float:
    """Seconds since 1970 before which nobody decided it: its id may be older than what says its record of now.

    Of an id without a time there is the record's alone, which may lie ahead.
    """
    made = millis_of_id(transaction["transaction_id"])
    said = min(transaction["event_timestamp"], time.time())
    return said if made is None else min(said, made / 1000)
