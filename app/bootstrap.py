"""The map of the system: which rooms a role starts, in the order a transaction meets them."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust

from app import commands, connections
from app.agents import labels, statuses, transactions
from app.commands.shared.console import OneShotCommand
from app.errors import Poison, WrongFile
from app.health.dependency_monitor import DependencyMonitor
from app.health.watchdog import Watchdog
from app.live.audit import Audit
from app.live.audit_rounds import AuditRounds
from app.live.event_stream import EventStream
from app.live.feed import LiveFeed
from app.live.history import History
from app.live.resume import Resume
from app.live.unassessed import Unassessed
from app.live.waits import StatusWaits
from app.messaging import rebootstrap, refusals, topics
from app.messaging.consumer import BatchTransport
from app.messaging.consumer_groups import adopt_offsets
from app.messaging.open_transactions import OpenTransactions
from app.messaging.passed_over import PassedOver
from app.messaging.producer import METADATA_MAX_AGE, EventProducer
from app.messaging.topics import WrongTopic
from app.models.role import ROLES, Role
from app.observability import json_logs, metrics, private_logs, timing, tracing
from app.observability.transaction_logger import TransactionLogger
from app.processing.adapters import Adapters
from app.processing.assignment import Assignment
from app.processing.batch_processor import BatchProcessor
from app.read_model.log_reader import LogReader
from app.read_model.maintainer import ReadModelMaintainer
from app.read_model.pending_writer import PendingWriter
from app.read_model.read_model import ReadModel
from app.read_model.state import ReadModelState
from app.resources import Resources, freeze_gc, retry_until_ready, run_forever
from app.settings import Settings, described, settings
from app.system.dead_letters import DeadLetters
from app.system.groups import client_id
from app.system.look import SystemLook
from app.system.observer import Observer, Others
from app.system.workers import Workers
from app.web import dead_letters as web_dead_letters
from app.web import documents, health, page, problem_pages, recent_answers
from app.web import events as web_events
from app.web import history as web_history
from app.web import labels as web_labels
from app.web import metrics as web_metrics
from app.web import session as web_session
from app.web import system as web_system
from app.web import transactions as web_transactions
from app.web.metrics import timed
from app.web.problems import as_problems
from app.web.server import BoundedWeb, CannotStart
from app.web.traces import traced

log = logging.getLogger(__name__)


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
    processors: dict[str, BatchProcessor]  # by topic
    background: list[Any]
    on_stopping: list[Callable[[], None]]
    hand_over: Callable[[], Awaitable[None]] | None = None  # at a stop, once no work is under way
    on_assigned: list[Callable[[], None]]
    is_alone = False  # whether all partitions of the status topic are ours: no other bff is there

    def _new_web(self) -> BoundedWeb:
        return BoundedWeb(self, settings())

    def on_init_dependencies(self) -> Iterable[Any]:
        """Without Faust's own counting of each request and event: /metrics is ours, nobody reads the other."""
        services: Iterable[Any] = super().on_init_dependencies()
        self.sensors.remove(self.monitor)
        self.sensors.add(faust.Sensor())  # counts nothing; without any, each rebalance warns
        return services

    def command(self, *options: Any, base: Any = OneShotCommand, **kwargs: Any) -> Any:
        """Faust's decorator, for commands that end as soon as they are done."""
        return super().command(*options, base=base, **kwargs)

    async def on_start(self) -> None:
        """Serve, open everything, and only then let Faust start the consumer."""
        try:
            self.web.check()
        except CannotStart as exc:
            log.critical("Cannot start: %s", exc)
            raise SystemExit(1) from exc
        await super().on_start()
        await self.resources.open_stores(
            make_tables="transactions" in self.agents, make_bff_tables="statuses" in self.agents
        )
        await self.web.maybe_start()
        for job in self.background:
            self.add_future(run_forever(job))
        for processor in self.processors.values():
            self.add_future(processor.run())
        await self._open_log()
        await retry_until_ready(
            "the consumer groups", lambda: adopt_offsets(self.conf.id, self.resources.settings)
        )
        freeze_gc()

    async def _open_log(self) -> None:
        try:
            await self.resources.open_log()
        except WrongTopic as exc:
            log.critical("Cannot start: %s", exc)
            raise SystemExit(1) from exc

    async def on_stop(self) -> None:
        """Finish what is in flight, commit, leave."""
        for let_go in self.on_stopping:
            let_go()
        within = self.resources.settings.drain_timeout
        await asyncio.gather(*(processor.drain(within) for processor in self.processors.values()))
        if self.hand_over:
            await self.hand_over()
        await super().on_stop()

    async def on_shutdown(self) -> None:
        """Close the neighbours last."""
        await super().on_shutdown()
        await self.resources.close()
        await asyncio.to_thread(tracing.shut_down)


def create_app(
    name: str,
    *,
    producer: type[EventProducer] = EventProducer,
    adapters: type[Adapters] = Adapters,
    assignment: type[Assignment] = Assignment,
    read_model: type[ReadModel] = ReadModel,
    maintainer: type[ReadModelMaintainer] = ReadModelMaintainer,
) -> PaymentsApp:
    """The app of a role: `bff` (web and status agent), `transactions` (transactions agent), `main` (both).

    With another class in place of one of these it is a negative control: see exercises/controls.
    """
    role, values = ROLES[name], settings()
    _prepare(name, values)
    app = _faust_app(role)
    resources = Resources(values, role.dependencies, producer)
    transaction_logger = TransactionLogger(values.log_each_transaction)
    app.resources, app.processors, app.background = resources, {}, []
    app.on_stopping, app.on_assigned = [], []

    if "statuses" in role.agents:
        pending, state = PendingWriter(resources.recent), ReadModelState()
        log_reader = LogReader(resources)
        maintained = maintainer(resources.recent, log_reader, pending, state)
        reads = read_model(
            resources.recent,
            resources.table,
            pending,
            state,
            lambda: app.consumer.length(topics.STATUS) if _is_consuming(app) else None,
            log_reader.is_decided,
        )
        events, status_waits, audit = EventStream(values.max_event_clients), StatusWaits(), Audit()
        unassessed = Unassessed()
        feed = status_waits.feed = LiveFeed(resources, (events, status_waits, audit, unassessed))
        rounds = AuditRounds(resources, feed, audit, state)
        web_events.register(app, web_events.Events(feed, events, Resume(resources, feed, events)))
        calls = web_transactions.Calls(
            resources,
            transaction_logger,
            reads,
            pending,
            status_waits,
            audit.acknowledged,
            lambda: app.is_alone,
        )
        web_history.register(app, History(resources))
        web_transactions.register(app, calls, values.page_limit)
        web_labels.register(app, web_labels.LabelCalls(resources, calls.found))
        page.register(app)
        if app.web.access is not None:
            web_session.register(app, app.web.access)

        async def follow_growth() -> None:
            await resources.producer.follow_growth(topics.CREATED, topics.STATUS, topics.PARTITIONS_ADDED)

        app.background += [
            follow_growth,
            pending.run,
            maintained.keep_complete,
            feed.run,
            events.run,
            rounds.run,
        ]
        app.on_stopping += [events.close]
        app.on_assigned += [state.note_rebalanced]
    if "transactions" in role.agents:
        ports = adapters(resources)
        app.processors[topics.CREATED] = transactions.register(
            app, resources, transaction_logger, ports, assignment
        )
        app.background.append(ports.merchants.run)
        app.hand_over = ports.merchants.hand_over
    if "statuses" in role.agents:
        app.processors[topics.STATUS] = statuses.register(app, resources, unassessed.note)
        app.processors[topics.LABEL] = labels.register(app, resources)

    monitor, waits = DependencyMonitor(resources), OpenTransactions(lambda: _open_transactions(app))
    watchdog = Watchdog(
        app.processors,
        lambda topic: monitor.is_up("kafka") and _is_consuming(app) and app.consumer.is_behind(topic),
        lambda: monitor.is_up("kafka") and app.consumer.started and not _is_consuming(app),
        values.liveness_timeout,
    )
    passed_over = PassedOver(resources.tail, app.consumer)
    if "statuses" in role.agents:
        workers = Workers(
            role.name,
            _asked_port(role, values),
            lambda: app.consumer.member_id if _is_consuming(app) else None,
            lambda: watchdog.stuck,
            lambda: _update_gauges(app, waits),
        )
        look = SystemLook(resources, workers, lambda: state.complete_since is not None)
        dead_letters = DeadLetters(resources)
        others = Others(recent_answers.newest, dead_letters.count, rounds.truth, unassessed.document)
        observer = Observer(resources, look, workers, others)
        web_system.register(app, observer)
        web_dead_letters.register(app, dead_letters)
        app.background.append(observer.run)
    app.background += [
        monitor.run,
        watchdog.run,
        passed_over.run,
        app.consumer.stay_in_the_group,
        waits.run,
    ]
    commands.register(app, values)
    problem_pages.register(app)
    documents.register(app, values)
    health.register(app, resources, lambda: _is_consuming(app), lambda: watchdog.stuck, app.web.shows_details)
    web_metrics.register(app, lambda: _update_gauges(app, waits))
    app.on_partitions_assigned.connect(_on_partitions_assigned)
    app.on_partitions_revoked.connect(_on_partitions_revoked)
    log.info("Settings: %s", described(values))
    return app


def _prepare(name: str, values: Settings) -> None:
    """Before anything connects; ends the process with one line when a file of a connection is of no use."""
    try:
        connections.check(values)
    except WrongFile as exc:
        sys.exit(f"Wrong setting: {exc} (see docs/security.md)")
    tracing.set_up(name)
    rebootstrap.install()
    refusals.install()
    if not values.log_customer_data:
        private_logs.leave_out(quoting=Poison)


def _faust_app(role: Role) -> PaymentsApp:
    values = settings()
    middlewares = [traced, timed, as_problems] if tracing.enabled else [timed, as_problems]
    app = PaymentsApp(
        role.name,
        broker=[f"kafka://{broker}" for broker in values.kafka_brokers.split(",")],
        broker_credentials=_credentials(values),
        store="memory://",
        origin="app.main",
        autodiscover=False,
        web_bind=values.listen_host,
        web_port=_web_port(role, values),
        broker_client_id=client_id(role.name, _asked_port(role, values)),
        web_application_options={"client_max_size": values.body_limit, "middlewares": middlewares},
        web_router_enabled=False,
        web_tables_enabled=False,
        web_graph_enabled=False,
        topic_allow_declare=False,  # app.messaging.topics makes and checks them
        topic_disable_leader=True,  # no leader's work here
        table_standby_replicas=0,  # no tables: the plain round-robin assignor serves
        stream_buffer_maxsize=8 * values.topic_partitions,  # events are batches here
        stream_wait_empty=False,  # a rebalance does not wait for a dead store; BatchProcessor.revoke ends what it can
        broker_session_timeout=8.0,  # a killed worker's partitions are free after this; the default is a minute
        # Who is in the group learns by it that another one came or left, and all wait for the last to learn it.
        broker_heartbeat_interval=0.25,
        broker_commit_interval=0.25,
        broker_max_poll_records=values.batch_size,
        consumer_max_fetch_size=2 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
        consumer_metadata_max_age_ms=METADATA_MAX_AGE,
        logging_config=(
            json_logs.config(role.name, tracing.current_trace_id) if values.log_format == "json" else None
        ),
    )
    app.transport = BatchTransport(app.conf.broker_consumer, app)
    return app


def _credentials(values: Settings) -> Any:
    """What app.connections.kafka says, in Faust's words; None where Kafka is plain and asks nobody."""
    said = connections.kafka(values)
    context = said.get("ssl_context")
    if "sasl_mechanism" not in said:
        return context and faust.SSLCredentials(context)
    return faust.SASLCredentials(
        username=said["sasl_plain_username"],
        password=said["sasl_plain_password"],
        ssl_context=context,
        mechanism=said["sasl_mechanism"],
    )


def _web_port(role: Role, values: Settings) -> int:
    return values.web_port or role.web_port


def _asked_port(role: Role, values: Settings) -> int:
    """Where the other workers ask it for its health and metrics."""
    return values.management_port or _web_port(role, values)


async def _on_partitions_assigned(app: PaymentsApp, assigned: Any, **_: Any) -> None:
    """Partitions are ours: their batches may come."""
    for topic, processor in app.processors.items():
        partitions = [tp.partition for tp in assigned if tp.topic == topic]
        processor.assign(app.consumer_generation_id, partitions)
    app.is_alone = app.consumer.is_whole(topics.STATUS)
    for note in app.on_assigned:
        note()


async def _on_partitions_revoked(app: PaymentsApp, revoked: Any, **_: Any) -> None:
    """Before a partition goes to another worker: end or drop our work on it, commit what is done."""
    within = app.resources.settings.drain_timeout
    await asyncio.gather(*(processor.revoke(within) for processor in app.processors.values()))
    await app.consumer.commit()


def _is_consuming(app: PaymentsApp) -> bool:
    return bool(app.started and not app.rebalancing and app.consumer_generation_id)


def _update_gauges(app: PaymentsApp, waits: OpenTransactions) -> None:
    """Bring up to date what is not counted where it happens; the gauges of partitions that went are forgotten."""
    timing.settle()
    metrics.CASSANDRA_NODES_DOWN.set(app.resources.cassandra.nodes_down())
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


def _open_transactions(app: PaymentsApp) -> list[Any]:
    return list(app.consumer.waiting()) if _is_consuming(app) else []


def _progress(app: PaymentsApp) -> list[Any]:
    return list(app.consumer.progress()) if _is_consuming(app) else []
