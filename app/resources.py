"""What is opened at start, closed at stop, pinged by readiness: one of each neighbour."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import Awaitable, Callable, Sequence

from app.assessment.client import Antifraud
from app.errors import Transient, own_cancellation_only
from app.messaging import topics
from app.messaging.codec import Codec
from app.messaging.kafka_errors import log_unavailable
from app.messaging.producer import EventProducer
from app.messaging.status_log import StatusLog
from app.messaging.tail_reader import TailReader
from app.models.health import Health, Unusable, pinged
from app.retry import pauses
from app.settings import Settings
from app.stores.cassandra import KEYS_TABLE, LABELS_TABLE, TABLES, Cassandra
from app.stores.idempotency_table import IdempotencyTable
from app.stores.labels_table import LabelsTable
from app.stores.recent_transactions import RecentTransactions
from app.stores.snapshots import Snapshots
from app.stores.transactions_table import TransactionsTable

log = logging.getLogger(__name__)

START_PAUSE = 0.2
START_PAUSE_MOST = 2.0
#: Seconds between two looks for the tables.
TABLES_EVERY = 5.0


class Resources:
    """The neighbours of one worker. Codecs are there once `open` has returned."""

    created: Codec
    status: Codec
    #: The same without what was known: half of the time, for whoever shows a verdict and does not explain it.
    status_without_history: Codec
    status_for_history: Codec
    label: Codec
    merchant_totals: Codec

    def __init__(
        self, settings: Settings, dependencies: Sequence[str], producer: type[EventProducer] = EventProducer
    ):
        """`dependencies`: the parts this worker has to do with, for readiness and the log."""
        self.settings = settings
        self._dependencies = dependencies
        self.producer = producer(settings)
        self.tail = TailReader(settings)
        self.status_log = StatusLog(settings, topics.STATUS)
        self.antifraud = Antifraud(settings)
        self.cassandra = Cassandra(settings)
        self.table = TransactionsTable(self.cassandra, settings.cassandra_timeout, settings.read_timeout)
        self.idempotency = IdempotencyTable(self.cassandra, settings.idempotency_timeout)
        self.labels = LabelsTable(self.cassandra, settings.cassandra_timeout)
        self.recent = RecentTransactions(settings)
        self.snapshots = Snapshots(settings.history_dir)
        self.is_open = False
        self._tasks: list[asyncio.Task[None]] = []

    async def open_stores(self, *, make_tables: bool, make_bff_tables: bool) -> None:
        """Redis and antifraud connect by themselves; Cassandra is waited for in the background, GET says so."""
        await self.recent.open()
        await self.antifraud.open()
        self._tasks.append(asyncio.create_task(self._open_cassandra(make_tables, make_bff_tables)))

    async def open_log(self) -> None:
        """Wait for Kafka and the registry, without end; make and check topics, register schemas; WrongTopic."""
        await retry_until_ready("Kafka", self._open_kafka)
        await retry_until_ready("the schema registry", self._register)
        self.is_open = True

    async def close(self) -> None:
        """Close everything, the log last: it flushes. One that fails keeps no other from it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for each in (self.recent, self.antifraud, self.cassandra, self.tail, self.status_log, self.producer):
            try:
                await each.close()
            except Exception:
                log.exception("%s could not be closed; the others are", type(each).__name__)

    async def _open_kafka(self) -> None:
        with log_unavailable(f"no broker at {self.settings.kafka_brokers} answers"):
            async with topics.admin_client(self.settings) as admin:
                await topics.ensure(admin, self.settings)
        if not self.producer.is_open:
            await self.producer.open()

    async def _register(self) -> None:
        self.created = await topics.register(self.settings, topics.CREATED)
        self.status = await topics.register(self.settings, topics.STATUS)
        self.status_without_history = self.status.until("history")
        # The transaction, and whether it is the first verdict on it: what histories are made of.
        self.status_for_history = self.status.until("decided_at")
        self.label = await topics.register(self.settings, topics.LABEL)
        self.merchant_totals = await topics.register(self.settings, topics.MERCHANT_TOTALS)

    async def _open_cassandra(self, make_tables: bool, make_bff_tables: bool) -> None:
        """Connect and make the tables of this worker; make them again whenever they are found missing."""
        await retry_until_ready("Cassandra", self.cassandra.open)
        if make_tables:
            await retry_until_ready("Cassandra's tables", self.cassandra.make_tables)
        if make_bff_tables:
            await retry_until_ready("the table of Idempotency-Keys", self.idempotency.make)
            await retry_until_ready("the table of labels", self.labels.make)
        await retry_until_ready("the table of transactions", self.table.prepare)

        async def keep_tables() -> None:
            while True:
                await asyncio.sleep(TABLES_EVERY)
                # app.health.dependency_monitor says that Cassandra does not answer
                with contextlib.suppress(Transient):
                    await self._make_again(make_tables, make_bff_tables)

        await run_forever(keep_tables)

    async def _make_again(self, make_tables: bool, make_bff_tables: bool) -> None:
        there = await self.cassandra.tables()
        if make_tables and not there >= TABLES:
            log.error(
                "Cassandra's tables are gone and are made again, empty. Nothing is lost: `make replay` writes them "
                "from the log"
            )
            await self.cassandra.make_tables()
            self.table.forget_buckets()
        if make_bff_tables and KEYS_TABLE not in there:
            log.error(
                "The table of Idempotency-Keys is gone and is made again, empty: a retry of an old key is new"
            )
            await self.idempotency.make()
        if make_bff_tables and LABELS_TABLE not in there:
            log.error(
                "The table of labels is gone and is made again, empty. Nothing is lost: `make replay` writes it from "
                "the log"
            )
            await self.labels.make()

    async def parts(self) -> dict[str, Health]:
        """Each neighbour, all pinged at once."""
        pings: dict[str, Callable[[], Awaitable[Health | None]]] = {
            "kafka": self._ping_topics,
            "cassandra": self._ping_table,
            "redis": self.recent.ping,
            "antifraud": self.antifraud.ping,
        }
        answers = await asyncio.gather(*(pinged(pings[name]) for name in self._dependencies))
        return dict(zip(self._dependencies, answers, strict=True))

    async def _ping_topics(self) -> None:
        created, status = await self.producer.partition_counts((topics.CREATED, topics.STATUS))
        if created > status:
            raise Unusable(topics.unequal(created, status))

    async def _ping_table(self) -> Health:
        if not await self.cassandra.tables() >= TABLES:
            raise Unusable("no tables yet: the transactions worker creates them")
        return self.cassandra.health()


async def retry_until_ready(what: str, opening: Callable[[], Awaitable[None]]) -> None:
    """Try until it works, with a growing pause; two lines in the log however long it takes."""
    said = False
    for pause in pauses(START_PAUSE, START_PAUSE_MOST):
        try:
            with own_cancellation_only():
                await opening()
        except Transient as exc:
            if not said:
                log.warning("Waiting for %s: %s", what, exc)
            said = True
            await asyncio.sleep(pause)
        else:
            if said:
                log.info("No longer waiting for %s", what)
            return


async def run_forever(job: Callable[[], Awaitable[None]]) -> None:
    """Run an endless job beside the transactions' way; a fault of its own must end neither it nor the worker."""
    while True:
        try:
            with own_cancellation_only():
                await job()
        except Exception:
            log.exception("Unexpected exception in %s (a bug); restarted", job.__qualname__)
        await asyncio.sleep(START_PAUSE_MOST)


def freeze_gc() -> None:
    """Modules, connections and the rest stay: each full collection that looks at them holds all up for 0.1 s."""
    gc.collect()
    gc.freeze()
