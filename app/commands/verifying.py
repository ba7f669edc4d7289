"""Whether the log, Cassandra and Redis agree: every transaction, every column, at the highest revision."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from app.clients.everything import Claims
from app.commands.comparing import World, problems
from app.commands.confirming import Seen, columns, looked_at_again
from app.commands.facts import CREATED, ENTRY, STORED, TOLD, Fact
from app.commands.gathering import Places
from app.commands.running import Progress
from app.settings import Settings

#: Looks at what seems wrong: after the second one the log was read on behind everything that a store had.
LOOKS = 2
NAMED_IN_FLIGHT = 1000


@dataclass(slots=True)
class Counts:
    """Of transactions, except `told`: records of transaction_status."""

    sent: int = 0
    decided: int = 0
    told: int = 0
    stored: int = 0
    in_redis: int = 0
    dead_letters: int = 0
    in_flight: int = 0


@dataclass(slots=True)
class Checked:
    """What a comparison has come to; `in_flight` names the first of them."""

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
        self.checked = Checked(Counts(), "")

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
                    if seen.in_flight:
                        waiting.add(seen.id)
                    elif seen.problem.may_be_ahead and look < LOOKS:
                        again.append(seen.id)
                    else:
                        yield self._found(await _finding(places, seen))
                places.facts.clear_suspects()
                places.facts.suspect(again)
            for finding in _lost_letters(places, world):
                yield self._found(finding)
            self.checked.counts.in_flight = len(waiting)
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
        self.checked.counts = Counts(plain, plain, plain, plain, in_redis)

    def _is_right(self, group: list[Fact], world: World) -> bool:
        self._count(group, world)
        return not problems(group, world)

    def _count(self, group: list[Fact], world: World) -> None:
        counts, places = self.checked.counts, Counter(one.place for one in group)
        if not (places[CREATED] or places[TOLD]):
            return  # newer than the end of the log, or extra
        counts.sent += bool(places[CREATED])
        counts.decided += bool(places[TOLD])
        counts.told += places[TOLD]
        counts.stored += bool(places[STORED])
        counts.in_redis += bool(places[ENTRY])
        asked = [one for one in group if one.place == CREATED]
        counts.dead_letters += bool(asked) and all((a.partition, a.offset) in world.buried for a in asked)


async def _finding(places: Places, seen: Seen) -> Finding:
    problem = seen.problem
    differs = problem.kind in ("different", "two verdicts")
    revision = problem.log[0].revision if problem.log else None
    return Finding(
        seen.id, problem.kind, problem.where, revision, await columns(places, seen) if differs else {}
    )


def _lost_letters(places: Places, world: World) -> Iterator[Finding]:
    """Records that nobody can read, that a worker is done with, and that are no dead letters."""
    for partition, offset in sorted(places.unreadable - places.buried):
        if offset < world.decided.get(partition, 0):
            yield Finding(f"transaction_created[{partition}]@{offset}", "missing", "dead letters")


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
