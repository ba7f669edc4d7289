"""What is wrong with a transaction, from what each place says of it. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from app.commands.verify.observations import MISFILED, PUBLISHED, Observation
from app.models.status import FIRST_VERDICT

Kind = Literal["missing", "extra", "different", "two verdicts"]
Where = Literal["transaction_created", "transaction_status", "cassandra", "redis"]

#: Milliseconds that may pass between publishing a re-assessment and storing it.
REASSESSMENT_TAKES = 15_000


class Problem(NamedTuple):
    """One thing that is wrong; `log` and `store`: the facts that should say the same."""

    kind: Kind
    where: Where
    log: tuple[Observation, ...] = ()
    store: Observation | None = None

    @property
    def may_be_ahead(self) -> bool:
        """Whether it may come from a store that was read a moment later than the log."""
        if self.store is None or not self.log:
            return self.kind == "extra"
        return self.store.revision > self.log[0].revision


@dataclass(frozen=True, slots=True)
class Watermarks:
    """What else has to be known: how far the groups had come before the second look, and what Redis claims.

    `claimed_from`: the sort key from which on it says that it has all; None when it says nothing of the kind.
    """

    claimed_from: str | None = None
    decided: Mapping[int, int] = field(default_factory=dict)
    shown: Mapping[int, int] = field(default_factory=dict)
    dead_lettered: Container[tuple[int, int]] = ()
    now: int = 0


def problems(observations: Sequence[Observation], watermarks: Watermarks) -> list[Problem]:
    """What is wrong with one transaction; nothing of most."""
    sources: tuple[list[Observation], ...] = ([], [], [], [], [])
    for observation in observations:
        sources[observation.place].append(observation)
    created, published, stored, entries, listed = sources
    asked = [one for one in created if (one.partition, one.offset) not in watermarks.dead_lettered]
    revision = max((one.revision for one in published), default=0)
    last = tuple(one for one in published if one.revision == revision)
    return [
        *_in_log(asked, created, published),
        *_in_cassandra(last, stored),
        *_in_redis(asked or created, last, entries, listed, watermarks),
    ]


def _in_log(
    asked: Sequence[Observation], created: Sequence[Observation], published: Sequence[Observation]
) -> list[Problem]:
    if not published:
        return [Problem("missing", "transaction_status", tuple(asked))] if asked else []
    if not created:
        return [Problem("missing", "transaction_created", tuple(published[:1]))]
    found = []
    verdicts = {(one.revision, one.fingerprint) for one in published}
    for revision, count in Counter(revision for revision, _ in verdicts).items():
        if count > 1:
            these = tuple(one for one in published if one.revision == revision)
            found.append(Problem("two verdicts", "transaction_status", these))
    contents, places = {one.transaction for one in created}, {(one.partition, one.offset) for one in created}
    # A worker that takes the partition goes by the record that a status says it is of.
    wrong = [
        one
        for one in published
        if one.transaction not in contents or (one.source_partition, one.source_offset) not in places
    ]
    if wrong:
        found.append(Problem("different", "transaction_status", tuple(created[:1]), wrong[0]))
    return found


def _in_cassandra(last: tuple[Observation, ...], stored: Sequence[Observation]) -> list[Problem]:
    found = [Problem("extra", "cassandra", store=one) for one in stored if one.bucket == MISFILED]
    filed = [one for one in stored if one.bucket != MISFILED]
    if not last:
        return found + [Problem("extra", "cassandra", store=one) for one in filed]
    if not filed:
        return [*found, Problem("missing", "cassandra", last)]
    if filed[0].fingerprint not in {one.fingerprint for one in last}:
        found.append(Problem("different", "cassandra", last, filed[0]))
    return found


def _in_redis(
    asked: Sequence[Observation],
    last: tuple[Observation, ...],
    entries: Sequence[Observation],
    listed: Sequence[Observation],
    watermarks: Watermarks,
) -> list[Problem]:
    log = last or tuple(asked)
    if not log:
        return [Problem("extra", "redis", store=one) for one in [*entries, *listed][:1]]
    bucket = log[0].bucket
    found = [Problem("extra", "redis", store=one) for one in (*entries, *listed) if one.bucket != bucket]
    here = [one for one in entries if one.bucket == bucket]
    if not here or not any(one.bucket == bucket for one in listed):
        required = here or listed or (last and _claimed(log[0], watermarks))
        return [*found, Problem("missing", "redis", log)] if required else found
    entry = max(here, key=lambda one: one.revision)  # a scan may bring one twice
    if (entry.transaction, entry.decision) not in {(one.transaction, one.decision) for one in log}:
        found.append(Problem("different", "redis", log, entry))
    return found


def _claimed(published: Observation, watermarks: Watermarks) -> bool:
    """Whether Redis says that it has this one: all, or what is not older than its oldest."""
    key = f"{published.bucket:010d}:{published.id}"
    return watermarks.claimed_from is not None and key >= watermarks.claimed_from


def in_flight(problem: Problem, watermarks: Watermarks) -> bool:
    """Whether a worker has not come so far yet; its group's offset was read before the store."""
    if not problem.log or problem.kind in ("extra", "two verdicts"):
        return False
    if problem.where == "transaction_status" and problem.kind == "missing":
        return all(one.offset >= watermarks.decided.get(one.partition, 0) for one in problem.log)
    last = problem.log[0]
    if problem.where == "redis":
        behind = problem.store is None or problem.store.revision < last.revision
        at = watermarks.shown if last.place == PUBLISHED else watermarks.decided
        return behind and all(one.offset >= at.get(one.partition, 0) for one in problem.log)
    if problem.where == "cassandra":
        return _is_being_stored(problem, last, watermarks)
    return False


def _is_being_stored(problem: Problem, last: Observation, watermarks: Watermarks) -> bool:
    if problem.store is not None and problem.store.revision >= last.revision:
        return False
    if last.revision == FIRST_VERDICT:
        return last.source_offset >= watermarks.decided.get(last.source_partition, 0)
    return watermarks.now - last.written < REASSESSMENT_TAKES
