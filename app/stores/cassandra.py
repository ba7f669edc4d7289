"""Cassandra or Scylla: connect, run statements from asyncio, at the strongest consistency the living nodes allow."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from cassandra import ConsistencyLevel, DriverException, Unavailable
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
from cassandra.query import dict_factory

from app.errors import StoreUnavailable
from app.models.health import OK, Health
from app.observability import metrics
from app.settings import Settings

DDL = Path(__file__).parent.parent.parent / "schemas" / "cql" / "transactions.cql"

#: The second when the living replicas cannot make the first.
STRONGEST, WEAKEST = ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_ONE

#: From the first on: the next when too few replicas live for it. A repair begins at all of them.
LEVELS = (STRONGEST, WEAKEST)
EVERY_REPLICA = ConsistencyLevel.ALL
REPAIR_LEVELS = (EVERY_REPLICA, *LEVELS)

CONNECT_TIMEOUT = 5.0

#: The transactions worker's tables, and the bff's.
TABLES = {"transactions", "transaction_buckets"}
KEYS_TABLE = "idempotency_keys"

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

Rows = list[dict[str, Any]]


class TooFewReplicas(StoreUnavailable):
    """Fewer replicas live than the consistency level needs; `said_by`: the node whose word it is, so it lives."""

    def __init__(self, message: str, said_by: Any = None):
        super().__init__(message)
        self.said_by = said_by


class Cassandra:
    """A session whose retries are off (ours are in one place) and whose every request has a deadline."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._session: Session | None = None
        self._prepared: dict[str, Any] = {}
        self.stepped_down_at = 0.0  # seconds since 1970: until then a quorum may miss what was written

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
            control_connection_timeout=CONNECT_TIMEOUT,
            protocol_version=4,  # the newest that Cassandra and Scylla share
        )
        try:
            session = cluster.connect()
            session.default_fetch_size = None  # every query of ours has a LIMIT: its first page is all of it
            self._session = session
        except FAILURES as exc:
            cluster.shutdown()
            raise StoreUnavailable(
                f"no Cassandra node of {self._settings.cassandra_hosts} answers: {exc}"
            ) from exc

    async def close(self) -> None:
        """Disconnect."""
        if self._session is not None:
            await asyncio.to_thread(self._session.cluster.shutdown)

    async def make_tables(self) -> None:
        """Make the keyspace and tables that are missing; StoreUnavailable."""
        scylla = bool(await self.read(IS_SCYLLA, (), 5.0))
        for statement in ddl(self._settings.cassandra_replication, scylla=scylla):
            await self.run(statement, 30.0)

    async def tables(self) -> set[str]:
        """The tables that there are in our keyspace; StoreUnavailable."""
        rows = await self.read(
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = 'transactions'", (), 2.0
        )
        return {row["table_name"] for row in rows}

    async def prepare(self, cql: str) -> Any:
        """The prepared statement, made once; safe to repeat, as all of ours are; StoreUnavailable."""
        if cql not in self._prepared:
            if self._session is None:
                raise StoreUnavailable("no Cassandra node has answered since the start")
            try:
                statement = await asyncio.to_thread(self._session.prepare, cql)
            except FAILURES as exc:
                raise StoreUnavailable(f"Cassandra cannot prepare: {exc}") from exc
            statement.is_idempotent = True
            self._prepared[cql] = statement
        return self._prepared[cql]

    async def read(self, cql: str, values: Sequence[Any], timeout: float) -> Rows:
        """The rows of a query, at LOCAL_ONE if LOCAL_QUORUM fails or takes too long; StoreUnavailable."""
        rows, _ = await self.read_as_can_be(cql, values, timeout)
        return rows

    async def read_as_can_be(self, cql: str, values: Sequence[Any], timeout: float) -> tuple[Rows, int]:
        """The same, and the level reached."""
        statement = await self.prepare(cql)
        if not self._too_few_live(STRONGEST):
            with contextlib.suppress(StoreUnavailable):
                rows = await self.run(bound_at(statement, values, STRONGEST), timeout / 2)
                _reached("read", STRONGEST)
                return rows, STRONGEST
        rows = await self.run(bound_at(statement, values, WEAKEST), timeout / 2)
        _reached("read", WEAKEST)
        return rows, WEAKEST

    async def read_at(self, level: int, cql: str, values: Sequence[Any], timeout: float) -> Rows:
        """The rows of a query at this consistency level and no other, or StoreUnavailable."""
        return await self.run(bound_at(await self.prepare(cql), values, level), timeout)

    async def write(
        self, statement_at: Callable[[int], Any], timeout: float, levels: Sequence[int] = LEVELS
    ) -> int:
        """Run `statement_at(level)` at the first of `levels` that enough replicas live for, and give it.

        StoreUnavailable. A time-out alone is no reason to step down: a busy machine is slow without a dead replica.
        Who has said that too few live is asked next: the driver may still hold nodes that hang for alive.
        """
        *stronger, weakest = levels
        host = None
        for level in stronger:
            if self._too_few_live(level):
                continue
            try:
                await self.run(statement_at(level), timeout, host)
            except TooFewReplicas as few:
                host = few.said_by
                continue
            _reached("write", level)
            return level
        self.stepped_down_at = time.time()
        await self.run(statement_at(weakest), timeout, host)
        _reached("write", weakest)
        return weakest

    def _too_few_live(self, level: int) -> bool:
        """By the driver's own view: for up to 20 s nodes wait for one that is dead, before they answer Unavailable."""
        replicas = self._settings.cassandra_replication
        needed = {ConsistencyLevel.ALL: replicas, STRONGEST: replicas // 2 + 1}
        return len(self.living_hosts()) < needed.get(level, 1)

    def living_hosts(self) -> list[Any]:
        """The nodes that the driver holds for alive, in a fixed order; one that hangs may be among them."""
        hosts = self._session.cluster.metadata.all_hosts() if self._session else []
        return sorted((host for host in hosts if host.is_up), key=lambda host: str(host.endpoint))

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
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Rows] = loop.create_future()
        try:
            request = self._session.execute_async(statement, timeout=timeout, host=host)
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


def bound_at(statement: Any, values: Sequence[Any], level: int) -> Any:
    """A prepared statement with its values, at a consistency level."""
    bound = statement.bind(values)
    bound.consistency_level = level
    return bound


def _reached(request: str, level: int) -> None:
    metrics.CASSANDRA_REQUESTS.labels(request, ConsistencyLevel.value_to_name[level]).inc()


def _resolve(answer: asyncio.Future[Rows], rows: Rows | None) -> None:
    if not answer.done():
        answer.set_result(rows or [])


def _fail(answer: asyncio.Future[Rows], exc: BaseException) -> None:
    if not answer.done():
        answer.set_exception(exc)
