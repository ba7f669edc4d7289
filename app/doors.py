"""The pipeline's doors on the real neighbours: codecs, log, antifraud, Cassandra."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app import topics
from app.dead_letters import LEAST, MOST, letter_of
from app.errors import LogUnavailable, Poison, StoreUnavailable
from app.models.assessment import Assessment
from app.models.status import FIRST_VERDICT, TransactionStatus
from app.models.transaction import Transaction

if TYPE_CHECKING:
    from app.pipeline import DeadLetter
    from app.resources import Resources

#: Milliseconds that the clocks of Kafka and of a bff may differ.
CLOCKS_APART = 60_000


class RealDoors:
    """See app.pipeline.Doors."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._letter_most = MOST  # bytes
        self._taken_at: dict[int, float] = {}  # by partition, seconds since 1970

    async def decode(self, values: Sequence[bytes | None]) -> list[Transaction | Poison]:
        """Records of transaction_created, or what is wrong with them."""
        return await self._resources.created.decode(values)

    async def recall(self, partition: int, from_offset: int) -> dict[int, TransactionStatus]:
        """Take the status partition, then read its tail back to the first verdict on a record before `from_offset`.

        Taken first, so that nobody else can add to what is read.
        Verdicts are told in the order of their source offsets, so everything older is older work.
        """
        await self._resources.teller.take(partition)
        self._taken_at[partition] = time.time()
        decode = self._resources.status.decode

        async def first_verdicts(records: Sequence[Any]) -> list[TransactionStatus]:
            decoded = await decode([record.value for record in records])
            return [
                status
                for status in decoded
                if not isinstance(status, Poison)
                and status["revision"] == FIRST_VERDICT
                and status["source_partition"] == partition
            ]

        async def far_enough(records: Sequence[Any]) -> bool:
            return any(status["source_offset"] < from_offset for status in await first_verdicts(records))

        records = await self._resources.tail.read_back(topics.STATUS, partition, far_enough)
        verdicts = await first_verdicts(records)
        known: dict[int, TransactionStatus] = {}
        for status in verdicts:
            offset = status["source_offset"]
            held = known.get(offset)
            # The first one told is the verdict; one on another transaction is of a topic made anew, and counts.
            if offset >= from_offset and (held is None or held["transaction_id"] != status["transaction_id"]):
                known[offset] = status
        return known

    async def decided_before(self, partition: int, transactions: Sequence[Transaction]) -> set[str]:
        """Those that have a row; when the rows cannot tell, those that have a verdict in the log.

        Rows written while fewer than a quorum of replicas lived, by us or by an earlier owner of the partition, may be
        on any one replica: for what was asked before the last such moment that we know of, all must say no.
        """
        table = self._resources.table
        whole_since = max(
            self._taken_at.get(partition, time.time()), self._resources.cassandra.stepped_down_at
        )
        older_than = whole_since + CLOCKS_APART / 1000
        try:
            found = await table.having_rows(transactions)
            missing = [one for one in transactions if one["transaction_id"] not in found]
            if older := [one for one in missing if one["event_timestamp"] < older_than]:
                found |= await table.having_rows(older, everywhere=True)
        except StoreUnavailable:
            return await self._told_before(partition, transactions)
        return found

    async def _told_before(self, partition: int, transactions: Sequence[Transaction]) -> set[str]:
        """Reads the status partition back to before the oldest of the transactions was asked."""
        oldest = min(one["event_timestamp"] for one in transactions) * 1000 - CLOCKS_APART
        ids = {one["transaction_id"] for one in transactions}
        decode = self._resources.status.decode

        async def far_enough(records: Sequence[Any]) -> bool:
            return any(record.timestamp < oldest for record in records)

        records = await self._resources.tail.read_back(topics.STATUS, partition, far_enough)
        statuses = await decode([record.value for record in records])
        return ids & {status["transaction_id"] for status in statuses if not isinstance(status, Poison)}

    async def assess(self, transactions: Sequence[Transaction]) -> Sequence[Assessment]:
        """Through Envoy."""
        return await self._resources.antifraud.assess(transactions)

    async def tell(self, partition: int, statuses: Sequence[TransactionStatus]) -> None:
        """Into transaction_status, in the partition of the same number."""
        encode = self._resources.status.encode
        await self._resources.teller.tell(
            partition, ((status["transaction_id"], encode(status), []) for status in statuses)
        )

    async def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Into the dead-letter topic, each as far as the topic takes it (see app.dead_letters)."""
        for letter in letters:
            content = letter_of(letter.record, letter.reason, self._letter_most)
            try:
                await self._resources.log.publish_batch(topics.DEAD_LETTER, letter.partition, [content])
            except Poison as exc:
                # What Kafka has refused puts all behind it out of order: the next try writes smaller letters.
                self._letter_most = max(LEAST, self._letter_most // 2)
                raise LogUnavailable(f"a dead letter is written again, smaller: {exc}") from exc

    async def store(self, statuses: Sequence[TransactionStatus]) -> None:
        """Into Cassandra."""
        await self._resources.table.store(statuses)
