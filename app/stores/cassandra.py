"""Cassandra or Scylla: connect, make the tables, run statements from asyncio."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from cassandra import AuthenticationFailed, ConsistencyLevel, DriverException, Unavailable
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, NoHostAvailable, Session
from cassandra.connection import ConnectionBusy, ConnectionException, ProtocolError
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import (
    ConstantReconnectionPolicy,
    FallthroughRetryPolicy,
    RoundRobinPolicy,
    TokenAwarePolicy,
)
from cassandra.pool import NoConnectionsAvailable
from cassandra.protocol import ErrorMessage
from cassandra.query import BatchStatement, dict_factory

from app import connections
from app.errors import StoreUnavailable
from app.models.health import OK, Health
from app.observability import tracing
from app.settings import Settings
from app.stores.consistency import STRONGEST, ConsistencyStepDown, Rows, TooFewReplicas

DDL = Path(__file__).parent.parent.parent / "schemas" / "cql" / "transactions.cql"

CONNECT_TIMEOUT = 5.0
#: Seconds for a statement to be prepared where nobody waits with a shorter patience; the driver's own bound is less.
PREPARED_WITHIN = 15.0

#: The transactions worker's tables, and the bff's.
TABLES = {"transactions", "transaction_buckets"}
KEYS_TABLE, LABELS_TABLE = "idempotency_keys", "labels"

#: Columns of table transactions that its first version had not.
ADDED = {"reasons": "text"}
COLUMNS_THERE = (
    "SELECT column_name FROM system_schema.columns "
    "WHERE keyspace_name = 'transactions' AND table_name = 'transactions'"
)
#: A row in Scylla, none in Cassandra.
IS_SCYLLA = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'system' AND table_name = 'scylla_local'"

#: Whatever the driver says of a request that failed: its exceptions have no class in common.
FAILURES = (
    NoHostAvailable,
    DriverException,
    ErrorMessage,  # ServerError: a node that knows a new table not yet
    ConnectionException,  # the node died with our request
    ConnectionBusy,
    NoConnectionsAvailable,
    ProtocolError,
    OSError,
)


class Cassandra(ConsistencyStepDown):
    """A session whose retries are off (ours are in one place) and whose every request has a deadline."""

    def __init__(self, settings: Settings):
        super().__init__(settings.cassandra_replication)
        self._settings = settings
        self._session: Session | None = None
        self._prepared: dict[str, Any] = {}
        self._preparing: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Connect to whichever node answers; StoreUnavailable when none does."""
        await asyncio.to_thread(self._connect)

    def _connect(self) -> None:
        profile = ExecutionProfile(
            # shuffled: else every try for one partition goes to the same node, also while that one hangs
            load_balancing_policy=TokenAwarePolicy(RoundRobinPolicy(), shuffle_replicas=True),
            retry_policy=FallthroughRetryPolicy(),
            request_timeout=self._settings.cassandra_timeout,
            row_factory=dict_factory,
        )
        cluster = Cluster(
            self._settings.cassandra_hosts.split(","),
            port=self._settings.cassandra_port,
            connection_class=LibevConnection,
            execution_profiles={EXEC_PROFILE_DEFAULT: profile},
            reconnection_policy=ConstantReconnectionPolicy(1.0, max_attempts=None),
            connect_timeout=CONNECT_TIMEOUT,
            prepare_on_all_hosts=False,  # it would wait 10 s for one that hangs; the others are told at the first use
            control_connection_timeout=CONNECT_TIMEOUT,
            protocol_version=4,  # the newest that Cassandra and Scylla share
            **_security(self._settings),
        )
        try:
            session = cluster.connect()
            session.default_fetch_size = None  # every query of ours has a LIMIT: its first page is all of it
            self._session = session
        except FAILURES as exc:
            cluster.shutdown()
            raise StoreUnavailable(
                f"no Cassandra node of {self._settings.cassandra_hosts} answers: {self._reason(exc)}"
            ) from exc

    def _reason(self, exc: BaseException) -> str:
        """Why nobody answers, where TLS or our name is the reason: the driver says it for each node, or not at all."""
        errors = getattr(exc, "errors", None)
        for failure in errors.values() if isinstance(errors, dict) else ():
            if isinstance(failure, AuthenticationFailed):
                return _refused(failure)
        values = self._settings
        context = connections.tls_context(values) if values.cassandra_tls else None
        for host in values.cassandra_hosts.split(","):
            if why := connections.what_is_wrong(host, values.cassandra_port, context, "CASSANDRA_TLS"):
                return why
        return str(exc)

    async def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            await asyncio.to_thread(self._session.cluster.shutdown)

    async def make_tables(self) -> None:
        """Make the keyspace and tables that are missing; StoreUnavailable."""
        scylla = bool(await self.read(IS_SCYLLA, (), 5.0))
        for statement in ddl(self._settings.cassandra_replication, scylla=scylla):
            await self.run(statement, 30.0)
        for column in sorted(ADDED.keys() - await self._columns()):
            await self._add_column(column)

    async def _columns(self) -> set[str]:
        rows = await self.read(COLUMNS_THERE, (), 5.0)
        return {row["column_name"] for row in rows}

    async def _add_column(self, column: str) -> None:
        """To a table of an earlier version; another worker may do the same."""
        try:
            await self.run(f"ALTER TABLE transactions.transactions ADD {column} {ADDED[column]}", 30.0)
        except StoreUnavailable:
            if column not in await self._columns():
                raise

    async def tables(self) -> set[str]:
        """The tables that there are in our keyspace; StoreUnavailable."""
        rows = await self.read(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'transactions'", (), 2.0
        )
        return {row["table_name"] for row in rows}

    async def prepare(self, cql: str, timeout: float = PREPARED_WITHIN) -> Any:
        """The prepared statement, made once; safe to repeat, as all of ours are; StoreUnavailable.

        The driver itself waits ten seconds for a node that hangs: who comes meanwhile waits for the same try.
        """
        if cql not in self._prepared:
            if cql not in self._preparing:
                self._preparing[cql] = task = asyncio.create_task(self._prepare(cql))
                # All who wait may have given up: then nobody else asks, and asyncio would log it with its trace.
                task.add_done_callback(lambda done: done.cancelled() or done.exception())
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.shield(self._preparing[cql])
            except TimeoutError as exc:
                raise StoreUnavailable(
                    f"Cassandra has not prepared a statement within {timeout:g} s"
                ) from exc
        return self._prepared[cql]

    async def _prepare(self, cql: str) -> None:
        try:
            if self._session is None:
                raise StoreUnavailable("no Cassandra node has answered since the start")
            statement = await asyncio.to_thread(self._session.prepare, cql)
        except FAILURES as exc:
            raise StoreUnavailable(f"Cassandra cannot prepare: {exc}") from exc
        finally:
            del self._preparing[cql]
        statement.is_idempotent = True
        self._prepared[cql] = statement

    def living_hosts(self) -> list[Any]:
        """The nodes that the driver holds for alive, in a fixed order; one that hangs may be among them."""
        hosts = self._session.cluster.metadata.all_hosts() if self._session else []
        return sorted((host for host in hosts if host.is_up), key=lambda host: str(host.endpoint))

    def nodes(self) -> dict[str, bool]:
        """Whether the driver holds each node that it knows for alive, by address; none before it has connected."""
        hosts = self._session.cluster.metadata.all_hosts() if self._session else []
        return {str(host.endpoint.address): bool(host.is_up) for host in hosts}

    def nodes_down(self) -> int:
        """How many nodes the driver holds for dead; 0 while none has answered since the start."""
        return sum(not is_up for is_up in self.nodes().values())

    def health(self) -> Health:
        """What an answered ping does not show: how many nodes are up, by the driver's own view.

        Usable without a quorum too, since reads and writes then step down to one replica; what cannot step down, a POST
        with an Idempotency-Key, is answered 503.
        """
        known = len(self._session.cluster.metadata.all_hosts()) if self._session else 0
        up = len(self.living_hosts())
        if self._too_few_live(STRONGEST):
            return Health(True, f"{up} of {known} nodes up: no quorum")
        return OK if up == known else Health(True, f"ok ({up} of {known} nodes up)")

    async def run(self, statement: Any, timeout: float, host: Any = None) -> Rows:
        """One statement, once, as it is, on `host` if one is given; StoreUnavailable after `timeout` seconds."""
        if self._session is None:
            raise StoreUnavailable("no Cassandra node has answered since the start")
        with _span(statement):
            return await _answer(self._session, statement, timeout, host)


def _span(statement: Any) -> AbstractContextManager[Any]:
    if not tracing.enabled:
        return nullcontext()
    attributes: dict[str, Any] = {"db.system.name": "cassandra", "db.namespace": "transactions"}
    if isinstance(statement, BatchStatement):
        operation = "BATCH"
        attributes["db.operation.batch.size"] = len(statement)
    else:  # text of ours, or prepared from it
        prepared = getattr(statement, "prepared_statement", None)
        operation = (prepared.query_string if prepared else str(statement)).split(maxsplit=1)[0]
    if level := getattr(statement, "consistency_level", None):
        attributes["cassandra.consistency.level"] = ConsistencyLevel.value_to_name[level]
    return tracing.calling(f"{operation} cassandra", {**attributes, "db.operation.name": operation})


async def _answer(session: Session, statement: Any, timeout: float, host: Any) -> Rows:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Rows] = loop.create_future()
    try:
        request = session.execute_async(statement, timeout=timeout, host=host)
    except FAILURES as exc:
        raise StoreUnavailable(f"Cassandra: {exc}") from exc
    request.add_callbacks(
        lambda rows: loop.call_soon_threadsafe(_resolve, answer, rows),
        lambda exc: loop.call_soon_threadsafe(_fail, answer, exc),
    )
    try:
        return await answer
    except Unavailable as exc:
        raise TooFewReplicas(f"Cassandra: {exc}", request.coordinator_host) from exc
    except FAILURES as exc:
        raise StoreUnavailable(f"Cassandra: {type(exc).__name__}: {exc}") from exc


def ddl(replication: int, *, scylla: bool) -> list[str]:
    """The statements that make the keyspace and its tables, in order, for the server that there is."""
    placement = "\n  AND tablets = {'enabled': false}" if scylla else ""
    lines = DDL.read_text().splitlines()
    without_comments = "\n".join(line.split("--")[0] for line in lines)
    text = without_comments.format(replication=replication, placement=placement)
    return [statement.strip() for statement in text.split(";") if statement.strip()]


def _resolve(answer: asyncio.Future[Rows], rows: Rows | None) -> None:
    if not answer.done():
        answer.set_result(rows or [])


def _fail(answer: asyncio.Future[Rows], exc: BaseException) -> None:
    if not answer.done():
        answer.set_exception(exc)


def _security(settings: Settings) -> dict[str, Any]:
    """Who we are, and TLS; arguments of Cluster."""
    arguments: dict[str, Any] = {}
    if settings.cassandra_username:
        password = settings.cassandra_password.get_secret_value()
        arguments["auth_provider"] = PlainTextAuthProvider(settings.cassandra_username, password)
    if settings.cassandra_tls:
        arguments["ssl_context"] = connections.tls_context(settings)
    return arguments


def _refused(failure: AuthenticationFailed) -> str:
    if "requires authentication" in str(failure).lower() or "no authenticator" in str(failure).lower():
        return "it asks for a name: see CASSANDRA_USERNAME"
    return "it refuses CASSANDRA_USERNAME with CASSANDRA_PASSWORD"
