"""The pipeline's ports on the real systems: codecs, Kafka, antifraud, Cassandra."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.errors import LogUnavailable, Poison, StoreUnavailable
from app.messaging import topics
from app.messaging.codec import readable
from app.messaging.dead_letters import LEAST, MOST, dead_letter_of
from app.messaging.partitioner import partition_of
from app.models.assessment import Assessment
from app.models.status import TransactionStatus
from app.models.transaction import Transaction, id_in_key, millis_of_id
from app.observability import tracing
from app.processing.customer_state import CustomerState, Features
from app.processing.deduplication import CLOCKS_APART, Place
from app.processing.merchant_totals import MerchantTotalsKeeper
from app.processing.pipeline import Claimed, DeadLetter
from app.processing.recovery import recover
from app.processing.snapshot_keeper import SnapshotKeeper

if TYPE_CHECKING:
    from app.resources import Resources
log = logging.getLogger(__name__)

#: Milliseconds from an id's making to its record's sending, at most, where the record is the id's first.
SENT_AT_ONCE = 1000


class Adapters:
    """See app.processing.pipeline.Ports."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._dead_letter_bytes = MOST  # bytes
        self._claimed_at: dict[int, float] = {}  # by partition, seconds since 1970
        self.partitions = self.records_read = 0
        self._snapshots = SnapshotKeeper(resources.snapshots)
        self.merchants = MerchantTotalsKeeper(resources)

    async def decode(self, values: Sequence[bytes | None]) -> list[Transaction | Poison]:
        """Records of transaction_created, or what is wrong with them."""
        return await self._resources.created.decode(values)

    async def claim(self, partition: int, from_offset: int, read_to: int, most: int) -> Claimed:
        """Claim the status partition, so that nobody else can add to what is then read back."""
        (self.partitions,) = await self._resources.producer.partition_counts((topics.CREATED,))
        await self._resources.status_log.claim(partition)
        self._claimed_at[partition] = time.time()
        return await recover(self._resources, partition, from_offset, read_to, most)

    def is_claimed(self, partition: int) -> bool:
        """By this worker, and not too long ago."""
        return self._resources.status_log.is_claimed(partition)

    async def customer_state(self, partition: int) -> CustomerState:
        """From its snapshot, and from the log what has happened since; without one from all of the log."""
        began = time.monotonic()
        state = await self._snapshots.restored(partition, self._is_status)
        read_from = state.folded_to

        async def take(records: Sequence[Any]) -> None:
            state.fold(await readable(self._resources.status, records), records[-1].offset + 1)
            self.records_read += len(records)

        state.folded_to = await self._resources.tail.read_on(topics.STATUS, partition, read_from, take)
        log.info(
            "Partition %d: the histories of %d customers are known after %.1f s, offsets %d to %d read from the log",
            partition, len(state.history), time.monotonic() - began, read_from, state.folded_to,
        )  # fmt: skip
        return state

    async def _is_status(self, partition: int, offset: int, transaction_id: str) -> bool:
        """Whether the log has its status there."""
        status = (await self.statuses_at([(partition, offset)])).get((partition, offset))
        return isinstance(status, dict) and status["transaction_id"] == transaction_id

    async def keep(self, partition: int, state: CustomerState) -> None:
        """A snapshot, if it is time for one."""
        self._snapshots.keep(partition, state)

    async def statuses_since(
        self, partition: int, offset: int
    ) -> tuple[list[tuple[int, TransactionStatus]], int]:
        """What its status partition has from an offset on, each with its offset, and where it ends."""
        found: list[tuple[int, TransactionStatus]] = []

        async def take(records: Sequence[Any]) -> None:
            found.extend(await readable(self._resources.status, records))

        end = await self._resources.tail.read_on(topics.STATUS, partition, offset, take)
        return found, end

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
            if older := [one for one in missing if one["event_timestamp"] < older_than]:
                found += await table.rows_of(older, everywhere=True)
        except StoreUnavailable:
            return await self._published_before(partition, transactions)
        return found

    async def _published_before(
        self, partition: int, transactions: Sequence[Transaction]
    ) -> list[TransactionStatus]:
        """Reads the status partition back to before the oldest of the transactions was asked."""
        oldest = min(one["event_timestamp"] for one in transactions) * 1000 - CLOCKS_APART
        ids = {one["transaction_id"] for one in transactions}
        found: list[TransactionStatus] = []

        async def take(records: Sequence[Any]) -> bool:
            values = [one.value for one in records if id_in_key(one.key) in ids]
            found.extend(
                one for one in await self._resources.status.decode(values) if not isinstance(one, Poison)
            )
            return any(record.timestamp < oldest for record in records)

        await self._resources.tail.read_back(topics.STATUS, partition, take)
        return found

    def may_be_elsewhere(self, partition: int, transaction: Transaction, sent_ms: int) -> bool:
        """Whether the default of most producers puts this customer into another partition.

        Until records were keyed by customer_id their key was the id: what was sent again since, long after its id was
        made, may have a record where the id belongs.
        """
        if partition_of(transaction["customer_id"].encode(), self.partitions) != partition:
            return True
        made = millis_of_id(transaction["transaction_id"])
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
        return await self._resources.status_log.publish(
            partition, ((key, encode(status), headers.get(key, [])) for key, status in keyed)
        )

    async def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> None:
        """Into the dead-letter topic, each as far as the topic takes it (see app.messaging.dead_letters)."""
        for dead_letter in dead_letters:
            content = dead_letter_of(dead_letter.record, dead_letter.reason, self._dead_letter_bytes)
            try:
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
