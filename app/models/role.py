"""What each process of the system is: its agents, its port, and whom it depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Role:
    """A worker. `name` is also its Faust app's, its consumer group's and its module's (`faust -A app.NAME`)."""

    name: str
    agents: tuple[str, ...]  # the HTTP views are where `statuses` is
    web_port: int  # setting WEB_PORT
    dependencies: tuple[str, ...]


BFF = Role("bff", ("statuses", "labels"), 5001, ("kafka", "cassandra", "redis"))
TRANSACTIONS = Role("transactions", ("transactions",), 5002, ("kafka", "cassandra", "antifraud"))
#: Both in one process.
MAIN = Role(
    "main", ("transactions", "statuses", "labels"), 5001, ("kafka", "cassandra", "redis", "antifraud")
)

ROLES = {role.name: role for role in (TRANSACTIONS, BFF, MAIN)}
