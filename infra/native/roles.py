"""The roles of a secured stack's Cassandra: the workers' is made, the one that everybody knows gets a password."""

from __future__ import annotations

import logging
import time
from typing import Any

from cassandra import AuthenticationFailed, DriverException
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, NoHostAvailable
from cassandra.io.libevreactor import LibevConnection

from infra.native import ports, secure

#: What Cassandra makes at its first start.
SUPERUSER, KNOWN_TO_ALL = "cassandra", "cassandra"
BOUND = 60.0  # seconds: the superuser is made a moment after the nodes are ready


def ensure() -> None:
    """Make what is missing; SystemExit where the nodes do not let us."""
    logging.getLogger("cassandra").setLevel(logging.CRITICAL)  # what fails here is tried again
    until = time.monotonic() + BOUND
    while True:
        try:
            with _cluster() as cluster:
                session = cluster.connect()
                session.execute(_role(secure.USER, "cassandra"))
                session.execute(
                    f"ALTER ROLE {SUPERUSER} WITH PASSWORD = '{secure.password('cassandra-superuser')}'"
                )
                return
        except NoHostAvailable as exc:
            failures = exc.errors.values() if isinstance(exc.errors, dict) else ()
            if any(isinstance(one, AuthenticationFailed) for one in failures) and _is_done():
                return
            why: Exception = exc
        except DriverException as exc:
            why = exc
        if time.monotonic() > until:
            raise SystemExit(f"Cassandra's roles could not be made, are all three nodes up? {why}") from why
        time.sleep(0.3)


def _role(name: str, password: str) -> str:
    return f"CREATE ROLE IF NOT EXISTS {name} WITH PASSWORD = '{secure.password(password)}' AND LOGIN = true"


def _is_done() -> bool:
    """Whether the workers' role may log in."""
    try:
        with _cluster(secure.USER, secure.password("cassandra")) as cluster:
            cluster.connect()
    except (NoHostAvailable, DriverException):
        return False
    return True


def _cluster(name: str = SUPERUSER, password: str = KNOWN_TO_ALL) -> Any:
    return Cluster(
        ports.cassandra_hosts(),
        port=ports.cassandra_port(),
        auth_provider=PlainTextAuthProvider(name, password),
        ssl_context=secure.context(),
        connection_class=LibevConnection,
        protocol_version=4,
    )
