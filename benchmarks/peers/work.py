"""What the peers share: the app's own steps (decide, publish, store), for a frame that has records in its hands.

So the guarantees are the app's: one verdict per transaction, published before it is stored, by the one writer of
its partition; what an earlier process has published is found in the log and not decided again.
"""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from itertools import groupby
from typing import Any

from app.assessment.fallback import AssessmentFallback
from app.errors import Transient
from app.messaging.topics import CREATED
from app.observability.transaction_logger import TransactionLogger
from app.processing.adapters import Adapters
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.deduplication import DecidedIds
from app.processing.pipeline import Pipeline
from app.resources import Resources, freeze_gc, retry_until_ready
from app.retry import pauses
from app.settings import Settings, settings

log = logging.getLogger(__name__)

#: As our worker has them (app/bootstrap.py).
FETCH_BYTES = 2 * 1024 * 1024
SESSION_TIMEOUT_MS, HEARTBEAT_MS = 8_000, 2_000
COMMIT_INTERVAL = 0.25

#: What a consumer of aiokafka is told by each peer that has one.
CONSUMER: dict[str, Any] = {
    "auto_offset_reset": "earliest",
    "isolation_level": "read_committed",
    "max_partition_fetch_bytes": FETCH_BYTES,
    "session_timeout_ms": SESSION_TIMEOUT_MS,
    "heartbeat_interval_ms": HEARTBEAT_MS,
}

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0


class Work:
    """The steps of app.processing.pipeline, each tried until it works."""

    def __init__(self, values: Settings, resources: Resources):
        ports, logger = Adapters(resources), TransactionLogger(values.log_each_transaction)
        fallback = AssessmentFallback(
            ports.assess,
            logger,
            when_down=values.antifraud_unavailable_policy,
            outage_timeout=values.antifraud_retry_timeout,
        )
        self._new_pipeline = partial(Pipeline, ports, fallback, logger, DeadLetterLimit(), DecidedIds(), {})
        self._next: dict[int, int] = {}  # by partition, the offset that follows what came last

    def has_gap(self, records: Mapping[int, Sequence[Any]]) -> bool:
        """Whether some of these do not follow the last ones of their partition, which was away then."""
        return any(some[0].offset != self._next.get(partition) for partition, some in records.items())

    def round(self, records: Mapping[int, Sequence[Any]]) -> MicroBatch:
        """Records by partition as a micro-batch."""
        if self.has_gap(records):
            begins_at = self._next | {partition: some[0].offset for partition, some in records.items()}

            async def committed(_: Any) -> Mapping[int, int]:
                return begins_at

            self._pipeline = self._new_pipeline(begins_at.keys(), committed, set())
        batches = [Batch(CREATED, p, some, some[-1].offset + 1) for p, some in records.items()]
        self._next |= {batch.partition: batch.next_offset for batch in batches}
        return MicroBatch(batches)

    async def decide(self, micro_batch: MicroBatch) -> None:
        """Assessed, or the verdict that the log has already."""
        await _done(self._pipeline.claim)  # nothing, if that is done
        await _done(self._pipeline.decide, micro_batch)

    async def publish(self, micro_batch: MicroBatch) -> None:
        """Into transaction_status."""
        await _done(self._pipeline.publish, micro_batch)

    async def store(self, micro_batch: MicroBatch) -> None:
        """Into Cassandra."""
        await _done(self._pipeline.store, [micro_batch])

    async def all_of(self, records: Mapping[int, Sequence[Any]]) -> None:
        """All three, one after the other: afterwards the offsets may be committed."""
        micro_batch = self.round(records)
        for step in (self.decide, self.publish, self.store):
            await step(micro_batch)


async def _done(step: Callable[..., Awaitable[None]], *what: Any) -> None:
    for pause in pauses(FIRST_PAUSE, LONGEST_PAUSE):
        try:
            await step(*what)
            return
        except Transient as exc:
            log.warning("%s failed, tried again: %s", step.__name__, exc)
            await asyncio.sleep(pause)


def by_partition(records: Iterable[Any]) -> dict[int, list[Any]]:
    """Records that come partition by partition, each partition's in order."""
    return {partition: list(some) for partition, some in groupby(records, lambda record: record.partition)}


@asynccontextmanager
async def opened() -> AsyncIterator[Work]:
    """Connected to all that the work needs, while it lasts."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    values = settings()
    resources = Resources(values, ())
    await resources.antifraud.open()
    await retry_until_ready("Cassandra", resources.cassandra.open)
    await resources.open_log()
    freeze_gc()
    try:
        yield Work(values, resources)
    finally:
        await resources.close()


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Until SIGTERM: then it is cancelled, so that it leaves its group."""

    async def until_published() -> None:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        with suppress(asyncio.CancelledError):
            await main()

    asyncio.run(until_published())
