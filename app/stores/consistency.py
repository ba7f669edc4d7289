"""Step-down of consistency: reads and writes run at the strongest level that the living replicas allow."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from cassandra import ConsistencyLevel

from app.errors import StoreUnavailable
from app.observability import metrics
from app.observability.timing import Timed

#: The second when the living replicas cannot make the first.
STRONGEST, WEAKEST = ConsistencyLevel.LOCAL_QUORUM, ConsistencyLevel.LOCAL_ONE

#: From the first on: the next when too few replicas live for it. A repair begins at all of them.
LEVELS = (STRONGEST, WEAKEST)
EVERY_REPLICA = ConsistencyLevel.ALL
REPAIR_LEVELS = (EVERY_REPLICA, *LEVELS)

Rows = list[dict[str, Any]]


class TooFewReplicas(StoreUnavailable):
    """Fewer replicas live than the consistency level needs; `said_by`: the node whose word it is, so it lives."""

    def __init__(self, message: str, said_by: Any = None):
        super().__init__(message)
        self.said_by = said_by


class OneReplicaLacksIt(StoreUnavailable):
    """The only replica that answers has no such row: others may have it."""


class ConsistencyStepDown(ABC):
    """Reads and writes over a session that runs single statements."""

    def __init__(self, replication: int):
        self._replication = replication
        self.stepped_down_at = 0.0  # seconds since 1970: until then a quorum may miss what was written

    @abstractmethod
    async def prepare(self, cql: str, timeout: float) -> Any:
        """The prepared statement; StoreUnavailable after `timeout` seconds."""

    @abstractmethod
    async def run(self, statement: Any, timeout: float, host: Any = None) -> Rows:
        """One statement, once, as it is; TooFewReplicas, StoreUnavailable."""

    @abstractmethod
    def living_hosts(self) -> list[Any]:
        """The nodes that the driver holds for alive."""

    async def read(self, cql: str, values: Sequence[Any], timeout: float) -> Rows:
        """The rows of a query, at LOCAL_ONE if LOCAL_QUORUM fails or takes too long; StoreUnavailable."""
        rows, _ = await self.read_as_can_be(cql, values, timeout)
        return rows

    async def read_as_can_be(self, cql: str, values: Sequence[Any], timeout: float) -> tuple[Rows, int]:
        """The same, and the level reached."""
        statement = await self.prepare(cql, timeout)
        if not self._too_few_live(STRONGEST):
            with contextlib.suppress(StoreUnavailable):
                rows = await self._timed("read", bound_at(statement, values, STRONGEST), timeout / 2)
                _reached("read", STRONGEST)
                return rows, STRONGEST
        rows = await self._timed("read", bound_at(statement, values, WEAKEST), timeout / 2)
        _reached("read", WEAKEST)
        return rows, WEAKEST

    async def read_at(self, level: int, cql: str, values: Sequence[Any], timeout: float) -> Rows:
        """The rows of a query at this consistency level and no other, or StoreUnavailable."""
        return await self._timed("read", bound_at(await self.prepare(cql, timeout), values, level), timeout)

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
                await self._timed("write", statement_at(level), timeout, host)
            except TooFewReplicas as few:
                host = few.said_by
                continue
            _reached("write", level)
            return level
        self.stepped_down_at = time.time()
        await self._timed("write", statement_at(weakest), timeout, host)
        _reached("write", weakest)
        return weakest

    async def _timed(self, request: str, statement: Any, timeout: float, host: Any = None) -> Rows:
        """`run`, measured as a request of this kind: read or write."""
        with Timed(metrics.STORE_SECONDS, "cassandra", request):
            return await self.run(statement, timeout, host)

    def _too_few_live(self, level: int) -> bool:
        """By the driver's own view: for up to 20 s nodes wait for one that is dead, before they answer Unavailable."""
        replicas = self._replication
        needed = {ConsistencyLevel.ALL: replicas, STRONGEST: replicas // 2 + 1}
        return len(self.living_hosts()) < needed.get(level, 1)


def only(rows: Rows, level: int) -> dict[str, Any] | None:
    """The row, or None; OneReplicaLacksIt where one replica alone (`level`) says that there is none."""
    if not rows and level == WEAKEST:
        raise OneReplicaLacksIt("the only replica of Cassandra that answers has no such row, and may lack it")
    return rows[0] if rows else None


def bound_at(statement: Any, values: Sequence[Any], level: int) -> Any:
    """A prepared statement with its values, at a consistency level."""
    bound = statement.bind(values)
    bound.consistency_level = level
    return bound


def _reached(request: str, level: int) -> None:
    metrics.CASSANDRA_REQUESTS.labels(request, ConsistencyLevel.value_to_name[level]).inc()
