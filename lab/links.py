"""Slow parts and broken networks: the exercises' relay, put between a part and its clients while the stack runs.

A client learns the relay's address when it starts, so the first fault of a part restarts its clients. Kafka and
Cassandra tell their clients their addresses themselves, so a relay in front of them would be passed by.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit, urlunsplit

from exercises.relay import Relay
from infra.native import ports, processes
from lab.answers import Json, Refused
from lab.hands import StartedWith

#: Part -> the kinds of its clients, which are started again when a relay is put between.
CLIENTS = {
    "redis": ("bff", "main"),
    "envoy": ("transactions", "main"),
    "antifraud-1": ("envoy",),
    "antifraud-2": ("envoy",),
}
MAX_DELAY = 10_000  # milliseconds


class Links:
    """The relays that are in place; they stay, passing everything on, until `take_out`."""

    def __init__(self, restart: Callable[[str], Awaitable[str]]) -> None:
        self._restart = restart
        self._relays: dict[str, Relay] = {}
        self._restarted_at: dict[str, float] = {}  # of a part's clients, in seconds since 1970

    def shown(self) -> list[Json]:
        """Each part that can be slowed down or cut off, and whether it is."""
        found = []
        for part, kinds in CLIENTS.items():
            relay = self._relays.get(part)
            delay, cut = (round(relay.delay * 1000), relay.silent) if relay else (0, False)
            link = {"part": part, "clients": kinds[0], "relayed": bool(relay), "delay_ms": delay, "cut": cut}
            found.append({**link, "restarted_at": self._restarted_at.get(part)})
        return found

    async def put(self, part: str, delay_ms: int, cut: bool) -> str:
        """From now on its answers are that late, or none comes; the clients that did not restart, as one says it."""
        if part not in CLIENTS:
            raise Refused(404, "Not found", f"only {', '.join(CLIENTS)} can be slowed down or cut off")
        if not 0 <= delay_ms <= MAX_DELAY:
            raise Refused(400, "Invalid request", f"delay_ms is from 0 to {MAX_DELAY}")
        new = part not in self._relays
        if new and (delay_ms or cut):
            self._relays[part] = Relay(ports.endpoints(part)[0])
            await self._relays[part].open()
        if relay := self._relays.get(part):
            relay.delay, relay.silent = delay_ms / 1000, cut
        return await self._restart_clients([part]) if new and relay else ""

    async def take_out(self) -> str:
        """No relay any more: clients talk to the parts themselves again."""
        relays, self._relays = self._relays, {}
        said = await self._restart_clients(relays)
        for relay in relays.values():
            relay.close()
        return said

    async def _restart_clients(self, parts: Collection[str]) -> str:
        kinds = {kind for part in parts for kind in CLIENTS[part]}
        self._restarted_at |= dict.fromkeys(parts, time.time())
        known = await asyncio.to_thread(processes.states)
        running = [name for name, part in known.items() if part.pid and _kind(name) in kinds]
        return "\n".join(filter(None, [await self._restart(name) for name in running]))

    def started_with(self, name: str) -> StartedWith:
        """How a part is started while relays are in place."""
        environment: dict[str, str] = {}
        kind, ours = _kind(name), self._relays
        if "redis" in ours and kind in CLIENTS["redis"]:
            environment["PAYMENTS_REDIS_URL"] = _redis_at(ours["redis"].port)
        if "envoy" in ours and kind in CLIENTS["envoy"]:
            environment["PAYMENTS_ANTIFRAUD_ADDRESS"] = f"127.0.0.1:{ours['envoy'].port}"
        relayed = [f"{part}={relay.port}" for part, relay in ours.items() if kind in CLIENTS[part]]
        command = f"python -m lab.envoy {' '.join(relayed)}" if kind == "envoy" and relayed else None
        return environment, command


def _kind(name: str) -> str:
    """transactions-2 is another transactions worker."""
    return re.sub(r"-\d+$", "", name)


def _redis_at(port: int) -> str:
    """The setting, with the relay's address in it."""
    parts = urlsplit(ports.setting("REDIS_URL", "redis://127.0.0.1:6379/0"))
    user, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}"))
