"""Whether the log, Cassandra and Redis agree: every transaction, every column, at the highest revision."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from app.commands.shared.console import Progress
from app.commands.verify.counts import Counts, Tally
from app.commands.verify.full_scans import CompletenessMarker
from app.commands.verify.observations import Observation
from app.commands.verify.recheck import Confirmed, columns, recheck
from app.commands.verify.rules import Problem, Watermarks, problems
from app.commands.verify.sources import Place, Sources
from app.messaging.dead_letters import Source, place_of
from app.settings import Settings

#: Looks at what seems wrong: after the second one the log was read on behind everything that a store had.
LOOKS = 2
NAMED_IN_FLIGHT = 1000


@dataclass(slots=True)
class Checked:
    """What a comparison has come to; `in_flight` names the first that wait: for a verdict, a row or an entry.

    `labels`: transactions that have one.
    """

    counts: Counts
    redis: str
    wrong: int = 0
    in_flight: list[str] = field(default_factory=list)
    labels: int = 0

    @property
    def agree(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong for sure. `revision`: the log's; a transaction without readable id has its place."""

    transaction_id: str
    problem: str
    where: str
    revision: int | None = None
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)


class Verification:
    """One comparison: iterate over `findings`, then look at `checked`."""

    def __init__(self, settings: Settings):
        self._settings = settings
        self._tally = Tally()
        self.checked = Checked(self._tally.counts, "")

    async def findings(self) -> AsyncIterator[Finding]:
        """Everything that is wrong, each thing once."""
        waiting: set[str] = set()
        async with Sources(self._settings) as sources:
            for part in (self._transactions, self._labels):
                async for finding in part(sources, waiting):
                    self.checked.wrong += 1
                    yield finding
        self.checked.in_flight = sorted(waiting)[:NAMED_IN_FLIGHT]

    async def _transactions(self, sources: Sources, waiting: set[str]) -> AsyncIterator[Finding]:
        completeness = await sources.read_all(_say)
        self.checked.redis = _described(completeness)
        self._suspect(sources, completeness)
        for look in range(1, LOOKS + 1):
            # First how far the workers are: what they are done with is in the log, and in the stores.
            watermarks = await sources.watermarks()
            if not sources.observations.any_suspected():
                break
            await sources.read_log(_quiet)
            again: list[str] = []
            async for seen in recheck(sources, watermarks):
                if seen.may_be_ahead and look < LOOKS:
                    again.append(seen.id)  # whole: what is certain of it would be reported twice
                    continue
                self._tally.add(seen.observations, seen.in_flight, sources.dead_lettered)
                if seen.in_flight:
                    waiting.add(seen.id)
                for problem in seen.wrong:
                    yield await _finding(sources, seen, problem)
            sources.observations.clear_suspects()
            sources.observations.suspect(again)
        unreadable = sources.unreadable - sources.dead_lettered
        lost = _passed_over(unreadable, watermarks)
        batches = sorted(sources.left_out - sources.dead_letters.all)
        for finding in [*map(_lost_dead_letter, lost), *map(_left_out, batches)]:
            yield finding
        dead_letters, waits = sources.dead_letters, sources.dead_letters.waiting
        self._tally.end(
            len(dead_letters.all),
            len(dead_letters.all) - waits,
            sources.dead_lettered,
            len(unreadable),
            len(lost),
        )

    async def _labels(self, sources: Sources, waiting: set[str]) -> AsyncIterator[Finding]:
        check = sources.label_check()
        async for problem in check.problems(time.time()):
            yield Finding(problem.transaction_id, problem.kind, "labels", columns=problem.columns)
        waiting |= {*check.in_flight}
        self.checked.labels = len(check.log.newest)

    def _suspect(self, sources: Sources, completeness: CompletenessMarker) -> None:
        watermarks = Watermarks(completeness.claimed_from, dead_lettered=sources.dead_lettered)
        sources.observations.suspect(self._not_plain(sources, completeness))
        sources.observations.clear(
            group[0].id for group in sources.observations.suspected() if self._is_right(group, watermarks)
        )

    def _not_plain(self, sources: Sources, completeness: CompletenessMarker) -> Iterator[str]:
        """Those that have to be looked at one by one; the others are counted."""
        plain = in_redis = 0
        for id_, is_plain, has_entry in sources.observations.plain(completeness.claimed_from):
            if is_plain:
                plain += 1
                in_redis += has_entry
            else:
                yield id_
        self._tally.plain(plain, in_redis)

    def _is_right(self, group: list[Observation], watermarks: Watermarks) -> bool:
        """Then this was the last look at it; the others are counted when they are looked at again."""
        if problems(group, watermarks):
            return False
        self._tally.add(group, dead_lettered=watermarks.dead_lettered)
        return True


async def _finding(sources: Sources, seen: Confirmed, problem: Problem) -> Finding:
    differs = problem.kind in ("different", "two verdicts")
    revision = problem.log[0].revision if problem.log else None
    values = await columns(sources, seen, problem) if differs else {}
    return Finding(seen.id, problem.kind, problem.where, revision, values)


def _passed_over(unreadable: set[Place], watermarks: Watermarks) -> list[Place]:
    """Those of the records without a dead letter that a worker is done with."""
    return sorted(
        (partition, at) for partition, at in unreadable if at < watermarks.decided.get(partition, 0)
    )


def _lost_dead_letter(place: Place) -> Finding:
    return Finding(f"transaction_created[{place[0]}]@{place[1]}", "missing", "dead letters")


def _left_out(batch: Source) -> Finding:
    return Finding(place_of(batch), "unreadable", "the log")


def _described(completeness: CompletenessMarker) -> str:
    if not completeness.complete:
        return "not complete, and says so"
    return "the newest, complete" if completeness.trimmed else "all"


def _say(what: str, total: int) -> Progress:
    return Progress(what, total, sys.stderr)


class _Silent(Progress):
    def add(self, count: int, passed: int | None = None) -> None:
        """Say nothing."""


def _quiet(what: str, total: int) -> Progress:
    return _Silent(what, total, sys.stderr)


def summary(checked: Checked) -> dict[str, Any]:
    """The counts, as JSON has them."""
    return {
        "agree": checked.agree,
        "differences": checked.wrong,
        "counts": asdict(checked.counts),
        "redis": checked.redis,
        "labels": checked.labels,
        "in_flight": checked.in_flight,
    }
