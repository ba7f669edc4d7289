"""The second look at what seemed wrong: with the log read on and the stores asked again, by id.

What a store lacks that a worker has not come to yet is in flight. What a store has and the log had not may have come
after the log was read: that is looked at a third time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

from app.commands.shared.console import with_retries
from app.commands.verify import observations
from app.commands.verify.observations import CREATED, MISFILED, PUBLISHED, STORED, Observation
from app.commands.verify.rules import Problem, Watermarks, in_flight, problems
from app.commands.verify.sources import Sources
from app.messaging import topics
from app.models.transaction import shard_of

#: Transactions looked at together.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Confirmed:
    """One transaction as it is now: what each place says, what is wrong with that, and the stores' values."""

    id: str
    observations: list[Observation]
    in_flight: list[Problem]
    wrong: list[Problem]
    row: dict[str, Any] | None
    entry: dict[str, Any] | None

    @property
    def may_be_ahead(self) -> bool:
        """Whether something of it may come from a store that was read after the log: all of it is looked at again."""
        return any(problem.may_be_ahead for problem in self.wrong)


async def recheck(sources: Sources, watermarks: Watermarks) -> AsyncIterator[Confirmed]:
    """Each that is suspected, also when nothing is wrong any more; `watermarks` is of before the log was read on."""
    for groups in _some(sources.observations.suspected(), AT_ONCE):
        fresh = [[one for one in group if one.place in (CREATED, PUBLISHED)] for group in groups]
        rows = await _rows(sources, groups)
        entries, listed = await with_retries(partial(_entries, sources, groups))
        completeness = await sources.recent.completeness()
        now = replace(watermarks, claimed_from=completeness.claimed_from)
        for group, old in zip(fresh, groups, strict=True):
            id_ = old[0].id
            group += [one for one in old if one.place == STORED and one.bucket == MISFILED]
            group += [observations.stored(row) for row in rows[id_]]
            group += [observations.entry(*one) for one in entries[id_]] + [
                observations.listed(key) for key in listed[id_]
            ]
            values = [observations.entry_values(text) for _, text in entries[id_]]
            found = problems(group, now)
            under_way = [problem for problem in found if in_flight(problem, now)]
            wrong = [problem for problem in found if problem not in under_way]
            yield Confirmed(
                id_, group, under_way, wrong, next(iter(rows[id_]), None), next(iter(values), None)
            )


async def _rows(sources: Sources, groups: Sequence[Sequence[Observation]]) -> dict[str, list[dict[str, Any]]]:
    asked: dict[tuple[int, int], list[str]] = defaultdict(list)
    for id_, bucket in _filed(groups):
        asked[bucket, shard_of(id_)].append(id_)
    found = defaultdict(list)
    for row in await sources.table.rows(asked):
        found[row["transaction_id"]].append(row)
    return found


async def _entries(
    sources: Sources, groups: Sequence[Sequence[Observation]]
) -> tuple[dict[str, list[tuple[str, str]]], dict[str, list[str]]]:
    found, listed = await sources.recent.some(f"{bucket:010d}:{id_}" for id_, bucket in _filed(groups))
    entries, keys = defaultdict(list), defaultdict(list)
    for key, text in found.items():
        entries[key.partition(":")[2]].append((key, text))
    for key in listed:
        keys[key.partition(":")[2]].append(key)
    return entries, keys


def _filed(groups: Iterable[Sequence[Observation]]) -> Iterator[tuple[str, int]]:
    """Where each may be: once for each bucket that a place named."""
    return iter({(one.id, one.bucket) for group in groups for one in group if one.bucket != MISFILED})


def _some(groups: Iterator[list[Observation]], most: int) -> Iterator[list[list[Observation]]]:
    while some := list(islice(groups, most)):
        yield some


async def columns(sources: Sources, seen: Confirmed, problem: Problem) -> dict[str, dict[str, Any]]:
    """What differs: each column with the value of each place."""
    first, *others = await sources.records(
        (topics.CREATED if one.place == CREATED else topics.STATUS, one.partition, one.offset)
        for one in problem.log
    )
    if problem.kind == "two verdicts":
        return _differing({"first": first} | {f"then {n}": other for n, other in enumerate(others, 1)})
    if problem.where == "transaction_status" and problem.store:
        published = problem.store
        (other,) = await sources.records([(topics.STATUS, published.partition, published.offset)])
        return _differing({"transaction_created": first, "transaction_status": other})
    store = seen.row if problem.where == "cassandra" else seen.entry
    if problem.log[0].place == CREATED:
        first = {**first, "status": "pending", "revision": 0}
    return _differing({"log": first, problem.where: store or {}})


def _differing(by_source: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of the columns that all have, those in which they differ; all the first has where one has none."""
    shared = set.intersection(*(set(one) for one in by_source.values())) or set(
        next(iter(by_source.values()))
    )
    names = [name for name in next(iter(by_source.values())) if name in shared]
    table = {name: {place: one.get(name) for place, one in by_source.items()} for name in names}
    return {name: values for name, values in table.items() if len({repr(v) for v in values.values()}) > 1}
