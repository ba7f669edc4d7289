"""The map of the system: which rooms a role starts, in the order a transaction meets them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, Literal

import faust

from app import commands
from app.agents import statuses, transactions
from app.commands.shared.console import EndsWhenDone
from app.health.dependency_monitor import Watch
from app.health.watchdog import Watchdog
from app.messaging import topics
from app.messaging.consumer import BatchTransport
from app.messaging.consumer_groups import take_over
from app.messaging.open_transactions import OpenTransactions
from app.messaging.passed_over import PassedOver
from app.messaging.producer import METADATA_MAX_AGE
from app.messaging.topics import WrongTopic
from app.observability import metrics
from app.observability.transaction_logger import Narrator
from app.processing.batch_processor import Delivery
from app.read_model.pending_writer import PendingNotes
from app.read_model.read_model import ReadModel
from app.read_model.unstored import told_lately, waiting
from app.resources import Resources, keep_what_is_there, kept_going, waited_for
from app.settings import described, settings
from app.web import health
from app.web import metrics as web_metrics
from app.web import transactions as web_transactions
from app.web.metrics import timed
from app.web.problems import as_problems
from app.web.server import BoundedWeb

log = logging.getLogger(__name__)

Role = Literal["bff", "transactions", "main"]

#: The web server's port by role; setting WEB_PORT.
PORTS = {"bff": 5001, "main": 5001, "transactions": 5002}

#: Whom a role has to do with.
NEIGHBOURS = {
    "bff": ("kafka", "cassandra", "redis"),
    "transactions": ("kafka", "cassandra", "antifraud"),
    "main": ("kafka", "cassandra", "redis", "antifraud"),
}


class FaustSettings(faust.Settings):
    """Faust's settings, from `create_app` alone."""

    def getenv(self, env_name: str) -> Any:
        """Nothing but where a container may write.

        Faust lets some eighty variables override its arguments, and others set them for other reasons: APP_VERSION in
        an image ended every worker, Celery's BROKER_URL sent the consumer elsewhere. Ours are in app.settings.
        """
        return os.environ.get(env_name) if env_name == "APP_DATADIR" else None


class PaymentsApp(faust.App):
    """A Faust app that serves HTTP first, then waits for its neighbours, then takes part in its group."""

    Settings = FaustSettings
    resources: Resources
    deliveries: dict[str, Delivery]  # by topic
    background: list[Any]

    def _new_web(self) -> BoundedWeb:
        return BoundedWeb(self, settings())

    def on_init_dependencies(self) -> Iterable[Any]:
        """Without Faust's own counting of each request and event: /metrics is ours, nobody reads the other."""
        services: Iterable[Any] = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        self.sensors.add(faust.Sensor())  # counts nothing; without any, each rebalance warns
        return services

    def command(self, *options: Any, base: Any = EndsWhenDone, **kwargs: Any) -> Any:
        """Faust's decorator, for commands that end as soon as they are done."""
        return super().command(*options, base=base, **kwargs)

    async def on_start(self) -> None:
        """Serve, open everything, and only then let Faust start the consumer."""
        await super().on_start()
        await self.resources.open_stores(
            make_tables="transactions" in self.agents, make_keys="statuses" in self.agents
        )
        await self.web.maybe_start()
        for job in self.background:
            self.add_future(kept_going(job))
        for delivery in self.deliveries.values():
            self.add_future(delivery.run())
        await self._open_log()
        await waited_for("the other form to stop", lambda: take_over(self.conf.id, self.resources.settings))
        keep_what_is_there()

    async def _open_log(self) -> None:
        try:
            await self.resources.open_log()
        except WrongTopic as exc:
            log.critical("Cannot start: %s", exc)
            raise SystemExit(1) from exc

    async def on_stop(self) -> None:
        """Finish what is in flight, commit, leave."""
        within = self.resources.settings.drain_timeout
        await asyncio.gather(*(delivery.drain(within) for delivery in self.deliveries.values()))
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Close the neighbours last."""
        await super().on_shutdown()
        await self.resources.close()


def create_app(role: Role) -> PaymentsApp:
    """The app of a role: `bff` (web and status agent), `transactions` (transactions agent), `main` (both)."""
    values = settings()
    app = _faust_app(role)
    resources, narrator = Resources(values, NEIGHBOURS[role]), Narrator(values.log_each_transaction)
    app.resources, app.deliveries, app.background = resources, {}, []

    if role in ("bff", "main"):
        pending = PendingNotes(resources.recent)
        reads = ReadModel(
            resources.recent,
            resources.table,
            values.recent_transactions,
            pending,
            partial(waiting, resources),
            partial(told_lately, resources),
            lambda: app.consumer.length(topics.STATUS) if _is_consuming(app) else None,
        )
        web_transactions.register(app, web_transactions.Calls(resources, narrator, reads, pending))
        app.background += [pending.run, reads.keep_complete]
    if role in ("transactions", "main"):
        app.deliveries[topics.CREATED] = transactions.register(app, resources, narrator)
    if role in ("bff", "main"):
        app.deliveries[topics.STATUS] = statuses.register(app, resources)

    watch, waits = Watch(resources), OpenTransactions(lambda: _waiting(app))
    watchdog = Watchdog(
        app.deliveries,
        lambda topic: watch.is_up("kafka") and _is_consuming(app) and app.consumer.is_behind(topic),
        values.stuck_after,
        app.consumer.holds.said,
    )
    passed_over = PassedOver(resources.tail, app.consumer)
    app.background += [
        watch.run,
        watchdog.run,
        passed_over.run,
        app.consumer.stay_in_the_group,
        waits.run,
    ]
    commands.register(app, values)
    health.register(app, resources, lambda: _is_consuming(app), lambda: watchdog.stuck)
    web_metrics.register(app, lambda: _measure(app, waits))
    app.on_partitions_assigned.connect(_resume)
    app.on_partitions_revoked.connect(_abandon)
    log.info("Settings: %s", described(values))
    return app


def _faust_app(role: Role) -> PaymentsApp:
    values = settings()
    app = PaymentsApp(
        role,
        broker=[f"kafka://{broker}" for broker in values.kafka_brokers.split(",")],
        store="memory://",
        origin="app.main",
        autodiscover=False,
        web_bind=values.listen_host,
        web_port=values.web_port or PORTS[role],
        web_application_options={"client_max_size": values.body_limit, "middlewares": [timed, as_problems]},
        web_router_enabled=False,
        web_tables_enabled=False,
        web_graph_enabled=False,
        topic_allow_declare=False,  # app.messaging.topics makes and checks them
        topic_disable_leader=True,  # no leader's work here
        table_standby_replicas=0,  # no tables: the plain round-robin assignor serves
        stream_buffer_maxsize=8 * values.topic_partitions,  # events are batches here
        stream_wait_empty=False,  # a rebalance does not wait for a dead store; delivery.abandon ends what it can
        broker_session_timeout=8.0,  # a killed worker's partitions are free after this; the default is a minute
        broker_heartbeat_interval=2.0,
        broker_commit_interval=0.25,
        broker_max_poll_records=values.batch_size,
        consumer_max_fetch_size=2 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE,
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    return app


async def _resume(app: PaymentsApp, assigned: Any, **_: Any) -> None:
    """Partitions are ours: their batches may come."""
    for delivery in app.deliveries.values():
        delivery.resume(app.consumer_generation_id, assigned)


async def _abandon(app: PaymentsApp, revoked: Any, **_: Any) -> None:
    """Before a partition goes to another worker: end or drop our work on it, commit what is done."""
    within = app.resources.settings.drain_timeout
    await asyncio.gather(*(delivery.abandon(within) for delivery in app.deliveries.values()))
    await app.consumer.commit()


def _is_consuming(app: PaymentsApp) -> bool:
    return bool(app.started and not app.rebalancing and app.consumer_generation_id)


def _measure(app: PaymentsApp, waits: OpenTransactions) -> None:
    """Bring the gauges of the assigned partitions up to date; those of partitions that went are forgotten."""
    metrics.LAG.clear()
    metrics.OLDEST.clear()
    metrics.HELD.clear()
    metrics.OPEN_TRANSACTION.clear()
    for tp, seconds in waits.seconds():
        metrics.OPEN_TRANSACTION.labels(tp.topic, tp.partition).set(seconds)
    for tp, hold in app.consumer.holds:
        metrics.HELD.labels(tp.topic, tp.partition).set(time.monotonic() - hold.since)
    for tp, lag, written in _progress(app):
        metrics.LAG.labels(tp.topic, tp.partition).set(lag)
        metrics.OLDEST.labels(tp.topic, tp.partition).set(time.time() - written if written else 0)


def _waiting(app: PaymentsApp) -> list[Any]:
    return list(app.consumer.waiting()) if _is_consuming(app) else []


def _progress(app: PaymentsApp) -> list[Any]:
    return list(app.consumer.progress()) if _is_consuming(app) else []
