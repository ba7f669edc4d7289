"""Whether the log, Cassandra and Redis agree: every transaction, every column, at the highest revision."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from app.commands.shared.console import Progress
from app.commands.verify.counts import Counts, Tally
from app.commands.verify.digests import Fact
from app.commands.verify.full_scans import Claims
from app.commands.verify.recheck import Seen, columns, looked_at_again
from app.commands.verify.rules import Problem, World, problems
from app.commands.verify.sources import Place, Places
from app.messaging.dead_letters import Source, place_of
from app.settings import Settings

#: Looks at what seems wrong: after the second one the log was read on behind everything that a store had.
LOOKS = 2
NAMED_IN_FLIGHT = 1000


@dataclass(slots=True)
class Checked:
    """What a comparison has come to; `in_flight` names the first that wait: for a verdict, a row or an entry."""

    counts: Counts
    redis: str
    wrong: int = 0
    in_flight: list[str] = field(default_factory=list)

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
        async with Places(self._settings) as places:
            claims = await places.read_all(_say)
            self.checked.redis = _described(claims)
            self._suspect(places, claims)
            waiting: set[str] = set()
            for look in range(1, LOOKS + 1):
                # First how far the workers are: what they are done with is in the log, and in the stores.
                world = await places.world()
                if not places.facts.any_suspected():
                    break
                await places.read_log(_quiet)
                again: list[str] = []
                async for seen in looked_at_again(places, world):
                    if seen.may_be_ahead and look < LOOKS:
                        again.append(seen.id)  # whole: what is certain of it would be told twice
                        continue
                    self._tally.add(seen.facts, seen.in_flight, places.buried)
                    if seen.in_flight:
                        waiting.add(seen.id)
                    for problem in seen.wrong:
                        yield self._found(await _finding(places, seen, problem))
                places.facts.clear_suspects()
                places.facts.suspect(again)
            unreadable = places.unreadable - places.buried
            lost = _passed_over(unreadable, world)
            batches = sorted(places.left_out - places.letters.all)
            for finding in [*map(_lost_letter, lost), *map(_left_out, batches)]:
                yield self._found(finding)
            letters, waits = places.letters, places.letters.waiting
            self._tally.end(
                len(letters.all), len(letters.all) - waits, places.buried, len(unreadable), len(lost)
            )
            self.checked.in_flight = sorted(waiting)[:NAMED_IN_FLIGHT]

    def _found(self, finding: Finding) -> Finding:
        self.checked.wrong += 1
        return finding

    def _suspect(self, places: Places, claims: Claims) -> None:
        world = World(claims.claimed_from, buried=places.buried)
        places.facts.suspect(self._not_plain(places, claims))
        places.facts.clear(group[0].id for group in places.facts.suspected() if self._is_right(group, world))

    def _not_plain(self, places: Places, claims: Claims) -> Iterator[str]:
        """Those that have to be looked at one by one; the others are counted."""
        plain = in_redis = 0
        for id_, is_plain, has_entry in places.facts.plain(claims.claimed_from):
            if is_plain:
                plain += 1
                in_redis += has_entry
            else:
                yield id_
        self._tally.plain(plain, in_redis)

    def _is_right(self, group: list[Fact], world: World) -> bool:
        """Then this was the last look at it; the others are counted when they are looked at again."""
        if problems(group, world):
            return False
        self._tally.add(group, buried=world.buried)
        return True


async def _finding(places: Places, seen: Seen, problem: Problem) -> Finding:
    differs = problem.kind in ("different", "two verdicts")
    revision = problem.log[0].revision if problem.log else None
    values = await columns(places, seen, problem) if differs else {}
    return Finding(seen.id, problem.kind, problem.where, revision, values)


def _passed_over(unreadable: set[Place], world: World) -> list[Place]:
    """Those of the records without a dead letter that a worker is done with."""
    return sorted((partition, at) for partition, at in unreadable if at < world.decided.get(partition, 0))


def _lost_letter(place: Place) -> Finding:
    return Finding(f"transaction_created[{place[0]}]@{place[1]}", "missing", "dead letters")


def _left_out(batch: Source) -> Finding:
    return Finding(place_of(batch), "unreadable", "the log")


def _described(claims: Claims) -> str:
    if not claims.complete:
        return "not complete, and says so"
    return "the newest, complete" if claims.trimmed else "all"


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
        "in_flight": checked.in_flight,
    }
