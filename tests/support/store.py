"""Cassandra from outside."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cassandra import ConsistencyLevel, Timeout, Unavailable
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement, dict_factory


def hosts() -> list[str]:
    return os.environ.get("CASSANDRA_HOSTS", "127.0.0.1,127.0.0.2,127.0.0.3").split(",")


@contextmanager
def session() -> Iterator[Any]:
    """A session that reads at LOCAL_QUORUM, rows as dicts."""
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        request_timeout=20,
        row_factory=dict_factory,
    )
    cluster = Cluster(
        hosts(),
        port=int(os.environ.get("CASSANDRA_PORT", "9042")),
        connection_class=LibevConnection,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
        protocol_version=4,
        connect_timeout=20,
        control_connection_timeout=20,
    )
    try:
        yield cluster.connect()
    finally:
        cluster.shutdown()


def query(cql: str, values: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """The rows of one query."""
    with session() as connected:
        return list(connected.execute(cql, values))


def row(transaction_id: str, within: float = 5.0) -> dict[str, Any]:
    """The one row of an id, found as in the exercises; it follows the published status."""
    deadline = time.monotonic() + within
    while True:
        found = query("SELECT * FROM transactions.transactions WHERE transaction_id = %s", (transaction_id,))
        if found or time.monotonic() > deadline:
            assert len(found) == 1, (transaction_id, found)
            return found[0]
        time.sleep(0.1)


def has(transaction_id: str) -> bool:
    """Whether the row is there."""
    found = query("SELECT status FROM transactions.transactions WHERE transaction_id = %s", (transaction_id,))
    return bool(found)


def at_one(ids: Collection[str]) -> dict[str, str]:
    """Id and status of these ids' rows on one node alone; all others of CASSANDRA_HOSTS are dead."""
    every = SimpleStatement(
        "SELECT transaction_id, status FROM transactions.transactions",
        consistency_level=ConsistencyLevel.ONE,
        fetch_size=2000,
    )
    deadline = time.monotonic() + 90
    with session() as connected:
        while True:
            try:
                rows = list(connected.execute(every))
            except (Timeout, Unavailable):  # it has not noticed yet that the others are down
                assert time.monotonic() < deadline
            else:
                return {row["transaction_id"]: row["status"] for row in rows if row["transaction_id"] in ids}
