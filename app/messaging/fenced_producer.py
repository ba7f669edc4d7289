"""A producer that fences: whoever claims a transactional id shuts out its last owner (docs/decisions/0001).

A worker that was paused past its session wakes up holding verdicts that another worker has decided meanwhile. Kafka
refuses it: the claim has raised the producer's epoch, and has shown the new one to the leader of the partition.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition

from app import connections
from app.messaging.last_stable_offset import LastStableOffset
from app.messaging.producer import MAX_BATCH_BYTES, Record, batches
from app.messaging.stopping import stop
from app.settings import Settings

#: Kafka ends a transaction whose producer is gone after this; readers of the partition wait as long.
TRANSACTION_TIMEOUT = 10.0
#: Seconds without a write after which a claim is to be renewed: a leader forgets a producer, and with it whom it has
#: fenced, after producer.id.expiration.ms, a day by default.
CLAIM_LASTS = 3600.0
#: Seconds after which one in use is renewed too: of plain batches the coordinator hears nothing. It forgets an id after
#: transactional.id.expiration.ms, a week by default, and gives the next owner another producer id: no epoch of that one
#: would be a reason to refuse the last one's batches.
CLAIM_IS_KNOWN = 86_400.0
#: Epochs end at 32,766; the next claim gets a new producer id, and the leader would take the old one's plain batches as
#: before. From here on to there each batch has a transaction, which the coordinator refuses to the old id.
LAST_PLAIN_EPOCH = 32_000


class FencedProducer:
    """One transactional id, from its claim on. Raises aiokafka's errors, OSError and TimeoutError."""

    def __init__(self, settings: Settings, transactional_id: str, stable: LastStableOffset, **options: Any):
        """`options`: aiokafka's."""
        self._stable = stable
        self._written = self._in_transaction = 0.0, 0.0  # when, by two clocks
        self._producer = AIOKafkaProducer(
            **connections.kafka(settings),
            transactional_id=transactional_id,
            transaction_timeout_ms=int(TRANSACTION_TIMEOUT * 1000),
            max_batch_size=MAX_BATCH_BYTES,
            **options,
        )

    async def claim(self, partitions: Iterable[TopicPartition] = ()) -> None:
        """Shut out the last owner; its open transaction is aborted, also where it hangs in one of these partitions.

        When this returns, the leaders of these partitions refuse whatever the last owner still sends. They learn of the
        new epoch from a transaction that is aborted: its one record is never visible, and its marker ends one that was
        committed without its own (KIP-664) and would hide all that follows.
        """
        await self._producer.start()
        partitions = list(partitions)
        if partitions:
            await self._producer.begin_transaction()
            sent = {tp: await self._send(tp, [(None, b"", [])]) for tp in partitions}
            await self._producer.abort_transaction()
            await self.wait_until_readable(sent)  # until then plain batches are refused (InvalidTxnState)
        self._written = self._in_transaction = _now()

    async def publish(
        self, records: Mapping[TopicPartition, Iterable[Record]]
    ) -> dict[TopicPartition, list[int]]:
        """Write the records (key, value, headers), all or none; their offsets.

        After an error it is not known which, and this producer is of no use any more: claim again and read the log.
        """
        await self._producer.begin_transaction()
        offsets = {tp: await self._send(tp, some) for tp, some in records.items()}
        await self._producer.commit_transaction()
        return offsets

    async def append(self, tp: TopicPartition, records: Iterable[Record]) -> list[int]:
        """Write the records to a claimed partition, in order; their offsets.

        Plain idempotent batches with the claimed epoch: no transaction to commit, no marker to wait for. After an error
        the first of them may be there, and this producer is of no use any more: claim again and read the log.
        """
        if self._producer._txn_manager.producer_epoch > LAST_PLAIN_EPOCH:
            published = await self.publish({tp: records})
            await self.wait_until_readable(published)
            offsets = published[tp]
            self._in_transaction = _now()
        else:
            self._producer._txn_manager.transactional_id = None  # aiokafka asks for a transaction otherwise
            offsets = await self._send(tp, records)
        self._written = _now()
        return offsets

    @property
    def is_fresh(self) -> bool:
        """Whether the leaders and the coordinator still remember the claim."""
        return _age(self._written) < CLAIM_LASTS and _age(self._in_transaction) < CLAIM_IS_KNOWN

    async def wait_until_readable(self, published: Mapping[TopicPartition, list[int]]) -> None:
        """Return once what `publish` gave is below the last stable offset. No time-out."""
        for tp, offsets in published.items():
            await self._stable.wait_for(tp.topic, tp.partition, offsets[-1] + 1)

    async def _send(self, tp: TopicPartition, records: Iterable[Record]) -> list[int]:
        offsets: list[int] = []
        for batch in batches(self._producer, records):
            sent = await (await self._producer.send_batch(batch, tp.topic, partition=tp.partition))
            offsets += range(sent.offset, sent.offset + batch.record_count())
        return offsets

    async def abort(self) -> None:
        """End an open transaction, so that readers need not wait for its time-out; nothing where it was fenced."""
        if not self._producer._txn_manager.is_fatal_error():
            await self._producer.abort_transaction()

    async def close(self) -> None:
        """Disconnect; what it might still send is refused once its id is claimed again."""
        await stop(self._producer)


def _now() -> tuple[float, float]:
    """By two clocks, since one may stop while a machine sleeps."""
    return time.time(), time.monotonic()


def _age(moment: tuple[float, float]) -> float:
    wall, steady = moment
    return max(time.time() - wall, time.monotonic() - steady)
