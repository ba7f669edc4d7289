"""One line in the log when a neighbour stops answering, and one when it is back."""

from __future__ import annotations

import asyncio
import logging
import time

from app.resources import Resources

log = logging.getLogger(__name__)

EVERY = 1.0
#: Seconds in which a neighbour that has not answered yet may still be starting, its tables being made.
STARTS_WITHIN = 15.0

#: Told by the step that asks it, with what its outage costs (app/asking.py).
TOLD_ELSEWHERE = {"antifraud"}


class Watch:
    """Asks the neighbours again and again, so that an outage is told once however many calls it fails."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._down_since: dict[str, float] = {}
        self._starting = dict[str, float]()  # since when
        self._has_answered = set[str]()
        # The clients log each failed try of each connection, and each request; what fails is raised and told here.
        for chatty in ("aiokafka", "cassandra", "httpx"):
            logging.getLogger(chatty).setLevel(logging.CRITICAL)

    def is_up(self, name: str) -> bool:
        """Whether the neighbour answered the last look."""
        return self._resources.is_open and name not in self._down_since

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            if self._resources.is_open:  # until then the start says what it waits for
                self.tell(await self._resources.parts())
            await asyncio.sleep(EVERY)

    def tell(self, parts: dict[str, str]) -> None:
        """Log what has changed since the last look."""
        for name, word in parts.items():
            if name in TOLD_ELSEWHERE:
                continue
            if word == "ok":
                self._has_answered.add(name)
                if name in self._down_since:
                    log.warning(
                        "%s is back after %.0f s", name, time.monotonic() - self._down_since.pop(name)
                    )
            elif name not in self._down_since and not self._is_starting(name):
                self._down_since[name] = time.monotonic()
                log.error("%s is not ready: %s. See `make ps`; nothing is lost meanwhile", name, word)

    def _is_starting(self, name: str) -> bool:
        now = time.monotonic()
        return name not in self._has_answered and now - self._starting.setdefault(name, now) < STARTS_WITHIN
