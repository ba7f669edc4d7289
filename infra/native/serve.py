"""Become one of the real servers: `python -m infra.native.serve kafka`.

The configuration is in infra/<server>/; what depends on this machine (addresses, directories) is added here.
The process is replaced (exec), so a signal to its pid reaches the server itself.
"""

import os
import sys
from collections.abc import Callable

from infra.native import cassandra, envoy, kafka, prometheus, redis, registry

SERVERS: dict[str, Callable[[], list[str]]] = {
    "kafka": lambda: kafka.command(1),
    "kafka-2": lambda: kafka.command(2),
    "kafka-3": lambda: kafka.command(3),
    "registry": registry.command,
    "cassandra-1": lambda: cassandra.command(1),
    "cassandra-2": lambda: cassandra.command(2),
    "cassandra-3": lambda: cassandra.command(3),
    "redis": redis.command,
    "envoy": envoy.command,
    "prometheus": prometheus.command,
}


def main(arguments: list[str]) -> None:
    """Become the named server."""
    if len(arguments) != 1 or arguments[0] not in SERVERS:
        raise SystemExit(f"usage: python -m infra.native.serve {'|'.join(SERVERS)}")
    command = SERVERS[arguments[0]]()
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
