"""Looks at the system once a second while somebody asks, and keeps one answer for all who do.

Nobody who asks waits for a part: an answer is what the last look found. While nobody asks it looks every few seconds,
for the charts alone.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.resources import Resources
from app.system import rates, samples
from app.system.costs import costs_of, kind_of
from app.system.groups import Groups
from app.system.lag import Lag
from app.system.look import Findings, SystemLook
from app.system.parts import Parts
from app.system.series import Series, point
from app.system.workers import Workers

#: Seconds from one look to the next, while somebody asks and else.
WATCHED_EVERY, EVERY = 1.0, 5.0
#: Seconds after the last question in which somebody still counts as asking.
WATCHED_FOR = 30.0
#: Seconds that who asks after a while waits for a fresh look, at most: a look lasts as long as its slowest probe.
FRESH_WITHIN = 1.2
#: As in the Procfile.
ORDER = ("kafka", "registry", "cassandra", "redis", "antifraud", "envoy", "bff", "transactions")


@dataclass(frozen=True, slots=True)
class Others:
    """What is known elsewhere in the bff."""

    #: The last problem answers, newest first.
    answers: Callable[[], Sequence[Mapping[str, Any]]] = lambda: ()
    #: How many dead letters wait, given how many offsets their topic has.
    dead_letters: Callable[[int | None], int | None] = lambda _: None
    #: The counts of the truth strip; while it is not given, or gives None, the document has no such key.
    truth: Callable[[], Mapping[str, Any] | None] = lambda: None
    #: What was rejected without an assessment and waits for `make reassess`.
    unassessed: Callable[[], Mapping[str, Any]] = lambda: {"count": 0, "since": None}


class Observer:
    """One per bff."""

    def __init__(self, resources: Resources, look: SystemLook, workers: Workers, others: Others):
        self._settings = resources.settings
        self._look, self._workers, self._others = look, workers, others
        self._parts, self._lag = Parts(), Lag(resources.tail)
        self._window, self._series = rates.Window(), Series()
        self._looked_at: float | None = None  # by time.monotonic
        self._found_at: float | None = None  # the same moment, in seconds since 1970
        self._asked_at = float("-inf")
        self._is_asked, self._has_looked = asyncio.Event(), asyncio.Event()
        self._document = self._series_document = b""
        self._dead_letter_ends: int | None = None

    @property
    def is_watched(self) -> bool:
        """Whether somebody has asked a moment ago."""
        return time.monotonic() - self._asked_at < WATCHED_FOR

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                began = time.monotonic()
                self._note(*await self._look.ask())
                await self._until_due(began)
        finally:
            await self._lag.close()
            await self._look.close()

    async def _until_due(self, began: float) -> None:
        """The next look is due, or somebody asks after a while."""
        every = WATCHED_EVERY if self.is_watched else EVERY
        try:
            async with asyncio.timeout(began + every - time.monotonic()):
                await self._is_asked.wait()
        except TimeoutError:
            return

    async def document(self) -> bytes:
        """GET /api/v1/system, as JSON."""
        await self._asked()
        self._document = self._document or json.dumps(self._composed()).encode()
        return self._document

    async def series(self) -> bytes:
        """GET /api/v1/system/series, as JSON."""
        await self._asked()
        every = WATCHED_EVERY if self.is_watched else EVERY
        self._series_document = (
            self._series_document or json.dumps(self._series.document(every, self._parts.marks)).encode()
        )
        return self._series_document

    async def _asked(self) -> None:
        self._asked_at = now = time.monotonic()
        if self._looked_at is not None and now - self._looked_at < 2 * WATCHED_EVERY:
            return
        self._has_looked.clear()
        self._is_asked.set()
        try:
            async with asyncio.timeout(FRESH_WITHIN):
                await self._has_looked.wait()
        except TimeoutError:
            return

    def _note(self, found: Findings, groups: Groups | None) -> None:
        """The documents are made anew when somebody asks for them: once, whoever asks as well."""
        at, now = time.time(), time.monotonic()
        self._parts.update(dict(sorted(found.items(), key=lambda one: _place(one[0]))), at)
        if groups is not None:
            self._lag.update(groups, self._workers.ages(), at)
            self._dead_letter_ends = groups.dead_letters
        if self._looked_at is not None:
            seconds = now - self._looked_at
            by_worker = self._workers.risen()
            self._window.add(at, seconds, by_worker)
            lag = None if groups is None else self._lag.records
            self._series.add(point(at, seconds, samples.added(by_worker.values()), lag))
        self._looked_at, self._found_at = now, at
        self._document = self._series_document = b""
        self._is_asked.clear()
        self._has_looked.set()

    def _composed(self) -> dict[str, Any]:
        at = time.time() if self._found_at is None else self._found_at  # what is told is as old as the look
        by_worker = self._window.by_worker()
        rate = samples.added(by_worker.values())
        truth = self._others.truth()
        return {
            "at": at,
            "parts": self._parts_now(),
            "arrows": rates.arrows(rate),
            "steps": rates.steps(by_worker),
            "lag": self._lag.document(at),
            "assessed_by": rates.assessed_by(rate),
            "consistency": rates.consistency(rate),
            "answers": list(self._others.answers()),
            "dead_letters": {"count": self._others.dead_letters(self._dead_letter_ends)},
            "unassessed": self._others.unassessed(),
            **({} if truth is None else {"truth": truth}),
        }

    def _parts_now(self) -> list[dict[str, Any]]:
        costs = costs_of(
            self._parts.found,
            quorum=self._settings.cassandra_replication // 2 + 1,
            when_antifraud_is_down=self._settings.antifraud_unavailable_policy,
        )
        processes = self._workers.processes()
        return [
            {
                "name": name,
                "process": processes.get(name, name),
                "state": one.state,
                "since": round(self._parts.since(name), 3),
                "since_known": self._parts.is_since_known(name),
                "word": one.word,
                "cost": costs[name],
            }
            for name, one in self._parts.found.items()
        ]


def _place(name: str) -> tuple[int, int]:
    """Where a part stands among the others: by its kind, then by its number."""
    number = name.removeprefix(kind_of(name)).removeprefix("-")
    return ORDER.index(kind_of(name)), int(number or 1)
