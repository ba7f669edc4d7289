"""What is wrong with a transaction, from what each place says of it. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from app.commands.verify.digests import MISFILED, TOLD, Fact
from app.models.status import FIRST_VERDICT

Kind = Literal["missing", "extra", "different", "two verdicts"]
Where = Literal["transaction_created", "transaction_status", "cassandra", "redis"]

#: Milliseconds in which a command may be between telling a re-assessment and storing it.
REASSESSMENT_TAKES = 15_000


class Problem(NamedTuple):
    """One thing that is wrong; `log` and `store`: the facts that should say the same."""

    kind: Kind
    where: Where
    log: tuple[Fact, ...] = ()
    store: Fact | None = None

    @property
    def may_be_ahead(self) -> bool:
        """Whether it may come from a store that was read a moment later than the log."""
        if self.store is None or not self.log:
            return self.kind == "extra"
        return self.store.revision > self.log[0].revision


@dataclass(frozen=True, slots=True)
class World:
    """What else has to be known: how far the groups had come before the second look, and what Redis claims.

    `claimed_from`: the sort key from which on it says that it has all; None when it says nothing of the kind.
    """

    claimed_from: str | None = None
    decided: Mapping[int, int] = field(default_factory=dict)
    shown: Mapping[int, int] = field(default_factory=dict)
    buried: Container[tuple[int, int]] = ()
    now: int = 0


def problems(facts: Sequence[Fact], world: World) -> list[Problem]:
    """What is wrong with one transaction; nothing of most."""
    places: tuple[list[Fact], ...] = ([], [], [], [], [])
    for fact in facts:
        places[fact.place].append(fact)
    created, told, stored, entries, listed = places
    asked = [one for one in created if (one.partition, one.offset) not in world.buried]
    revision = max((one.revision for one in told), default=0)
    last = tuple(one for one in told if one.revision == revision)
    return [
        *_in_log(asked, created, told),
        *_in_cassandra(last, stored),
        *_in_redis(asked or created, last, entries, listed, world),
    ]


def _in_log(asked: Sequence[Fact], created: Sequence[Fact], told: Sequence[Fact]) -> list[Problem]:
    if not told:
        return [Problem("missing", "transaction_status", tuple(asked))] if asked else []
    if not created:
        return [Problem("missing", "transaction_created", tuple(told[:1]))]
    found = []
    verdicts = {(one.revision, one.said) for one in told}
    for revision, count in Counter(revision for revision, _ in verdicts).items():
        if count > 1:
            these = tuple(one for one in told if one.revision == revision)
            found.append(Problem("two verdicts", "transaction_status", these))
    contents = {one.transaction for one in created}
    if wrong := [one for one in told if one.transaction not in contents]:
        found.append(Problem("different", "transaction_status", tuple(created[:1]), wrong[0]))
    return found


def _in_cassandra(last: tuple[Fact, ...], stored: Sequence[Fact]) -> list[Problem]:
    found = [Problem("extra", "cassandra", store=one) for one in stored if one.bucket == MISFILED]
    filed = [one for one in stored if one.bucket != MISFILED]
    if not last:
        return found + [Problem("extra", "cassandra", store=one) for one in filed]
    if not filed:
        return [*found, Problem("missing", "cassandra", last)]
    if filed[0].said not in {one.said for one in last}:
        found.append(Problem("different", "cassandra", last, filed[0]))
    return found


def _in_redis(
    asked: Sequence[Fact],
    last: tuple[Fact, ...],
    entries: Sequence[Fact],
    listed: Sequence[Fact],
    world: World,
) -> list[Problem]:
    log = last or tuple(asked)
    if not log:
        return [Problem("extra", "redis", store=one) for one in [*entries, *listed][:1]]
    bucket = log[0].bucket
    found = [Problem("extra", "redis", store=one) for one in (*entries, *listed) if one.bucket != bucket]
    here = [one for one in entries if one.bucket == bucket]
    if not here or not any(one.bucket == bucket for one in listed):
        required = here or listed or (last and _claimed(log[0], world))
        return [*found, Problem("missing", "redis", log)] if required else found
    entry = max(here, key=lambda one: one.revision)  # a scan may bring one twice
    if (entry.transaction, entry.decision) not in {(one.transaction, one.decision) for one in log}:
        found.append(Problem("different", "redis", log, entry))
    return found


def _claimed(told: Fact, world: World) -> bool:
    """Whether Redis says that it has this one: all, or what is not older than its oldest."""
    key = f"{told.bucket:010d}:{told.id}"
    return world.claimed_from is not None and key >= world.claimed_from


def in_flight(problem: Problem, world: World) -> bool:
    """Whether a worker has not come so far yet; its group's offset was read before the store."""
    if not problem.log or problem.kind in ("extra", "two verdicts"):
        return False
    if problem.where == "transaction_status" and problem.kind == "missing":
        return all(one.offset >= world.decided.get(one.partition, 0) for one in problem.log)
    last = problem.log[0]
    if problem.where == "redis":
        behind = problem.store is None or problem.store.revision < last.revision
        at = world.shown if last.place == TOLD else world.decided
        return behind and all(one.offset >= at.get(one.partition, 0) for one in problem.log)
    if problem.where == "cassandra":
        return _is_being_stored(problem, last, world)
    return False


def _is_being_stored(problem: Problem, last: Fact, world: World) -> bool:
    if problem.store is not None and problem.store.revision >= last.revision:
        return False
    if last.revision == FIRST_VERDICT:
        return last.source_offset >= world.decided.get(last.source_partition, 0)
    return world.now - last.written < REASSESSMENT_TAKES
