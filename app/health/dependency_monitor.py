"""One line in the log when a neighbour stops answering, and one when it is back."""

from __future__ import annotations

import asyncio
import logging
import time

from app.models.health import OK, Health
from app.observability import metrics
from app.observability.library_logs import LibraryLogs
from app.resources import Resources

log = logging.getLogger(__name__)

EVERY = 1.0
#: Seconds in which a neighbour that has not answered yet is only waited for: a cold start of all servers takes 50.
STARTS_WITHIN = 60.0

#: Logged by the step that asks it, with what its outage costs (app/assessment/fallback.py).
LOGGED_ELSEWHERE = {"antifraud"}


class DependencyMonitor:
    """Pings the dependencies again and again, so that an outage is logged once however many calls fail."""

    def __init__(self, resources: Resources):
        self._resources = resources
        self._down_since: dict[str, float] = {}
        self._starting = dict[str, float]()  # since when
        self._has_answered = set[str]()
        self._seen = dict[str, str]()  # the word of the last look
        self._logged = dict[str, tuple[int, str]]()  # level and word of the last line
        self._libraries = LibraryLogs()

    def is_up(self, name: str) -> bool:
        """Whether the neighbour answered the last look."""
        return self._resources.is_open and name not in self._down_since

    async def run(self) -> None:
        """Look until cancelled."""
        self._libraries.install()
        while True:
            if self._resources.is_open:  # until then the start says what it waits for
                self.log_changes(await self._resources.parts())
            await asyncio.sleep(EVERY)

    def log_changes(self, parts: dict[str, Health]) -> None:
        """Log what has changed since the last look."""
        self._libraries.look({name for name, health in parts.items() if health.word != OK.word})
        for name, health in parts.items():
            metrics.DEPENDENCY_UP.labels(name).set(health.usable)
            if name in LOGGED_ELSEWHERE:
                continue
            if health.usable:
                self._log_usable(name, health)
            elif self._is_starting(name):
                self._log_change(logging.INFO, "Waiting for %s: %s", name, health)
            else:
                self._down_since.setdefault(name, time.monotonic())
                text = "%s is not ready: %s. See `make ps`; nothing is lost meanwhile"
                self._log_change(logging.ERROR, text, name, health)
            self._seen[name] = health.word

    def _log_usable(self, name: str, health: Health) -> None:
        self._has_answered.add(name)
        if name in self._down_since:
            log.warning("%s is back after %.0f s", name, time.monotonic() - self._down_since.pop(name))
        level, _ = self._logged.get(name, (logging.WARNING, OK.word))
        if level != logging.WARNING:
            self._logged[name] = logging.WARNING, OK.word
        # A driver that has just connected is still counting its nodes: only what lasts for two looks is worth a line.
        if health.word == self._seen.get(name, OK.word):
            self._log_change(logging.WARNING, "%s: %s", name, health)

    def _log_change(self, level: int, text: str, name: str, health: Health) -> None:
        """Once per change of the word: the reason behind it may differ at each look."""
        if self._logged.get(name, (logging.WARNING, OK.word)) != (level, health.word):
            self._logged[name] = level, health.word
            log.log(level, text, name, health.reason or health.word)

    def _is_starting(self, name: str) -> bool:
        now = time.monotonic()
        return name not in self._has_answered and now - self._starting.setdefault(name, now) < STARTS_WITHIN
