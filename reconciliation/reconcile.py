"""Where each transaction is: the answers, the topics, Cassandra and GET compared by id. Black box.

Only the given ids count, so other traffic does not matter.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from reconciliation import readers
from reconciliation.readers import Verdict

Found = TypeVar("Found")

SOURCES = ("created", "published", "stored", "listed", "shown")


@dataclass(frozen=True)
class Reconciliation:
    """What became of the transactions that were answered 201."""

    sent: int
    there: Mapping[str, int]  # store -> how many of them it has
    missing: Mapping[str, Sequence[str]]  # store -> the ids that it lacks
    statuses: Mapping[str, int]  # status, by GET of each id -> how many
    differing: Mapping[str, Mapping[str, str]]  # id -> store -> status, where the stores disagree
    flipped: Sequence[str]  # ids published with two different verdicts for one revision
    created_again: int  # records in transaction_created beyond the first for an id: each one is wrong
    published_again: int  # records in transaction_status that repeat one: allowed after a kill

    @property
    def lost(self) -> Sequence[str]:
        """Acknowledged, but missing in some store."""
        return sorted({id_ for ids in self.missing.values() for id_ in ids})

    @property
    def agrees(self) -> bool:
        """Every id is everywhere, final, and the same everywhere."""
        wrong = self.lost or self.differing or self.flipped or self.created_again
        return not wrong and not self.statuses.get("pending")

    def faults(self) -> list[str]:
        """What is wrong, one line each, by id."""
        lines = [f"missing in {place}: {id_}" for place, ids in self.missing.items() for id_ in ids]
        lines += [
            f"differs: {id_} " + ", ".join(f"{place} says {status}" for place, status in says.items())
            for id_, says in self.differing.items()
        ]
        lines += [f"published with two verdicts for one revision: {id_}" for id_ in self.flipped]
        if self.created_again:
            lines.append(f"{self.created_again} records of transaction_created are there a second time")
        if pending := self.statuses.get("pending"):
            lines.append(f"{pending} still pending")
        return lines


def _revision(verdict: Verdict) -> int:
    return verdict.revision


def is_flipped(verdicts: Collection[Verdict]) -> bool:
    """Whether one revision was published with two different verdicts."""
    distinct = set(verdicts)
    return len(distinct) > len({verdict.revision for verdict in distinct})


def compare(
    sent: Collection[str],
    created: Mapping[str, int],
    published: Mapping[str, Sequence[Verdict]],
    stored: Mapping[str, str],
    listed: Mapping[str, str],
    shown: Mapping[str, str],
) -> Reconciliation:
    """The comparison itself: `created` counts records, `published` has verdicts, the others one status each."""
    ids = sorted(set(sent))
    has: dict[str, Collection[str]] = dict(
        zip(SOURCES, (created, published, stored, listed, shown), strict=True)
    )
    latest = {id_: max(published[id_], key=_revision).status for id_ in ids if published.get(id_)}
    says = {"published": latest, "stored": stored, "listed": listed, "shown": shown}
    opinions = {id_: {place: of[id_] for place, of in says.items() if id_ in of} for id_ in ids}
    return Reconciliation(
        sent=len(ids),
        there={place: sum(id_ in of for id_ in ids) for place, of in has.items()},
        missing={place: [id_ for id_ in ids if id_ not in of] for place, of in has.items()},
        statuses=Counter(shown[id_] for id_ in ids if id_ in shown),
        differing={id_: said for id_, said in opinions.items() if len(set(said.values())) > 1},
        flipped=[id_ for id_ in ids if is_flipped(published.get(id_, ()))],
        created_again=sum(created[id_] - 1 for id_ in ids if id_ in created),
        published_again=sum(
            len(published[id_]) - len(set(published[id_])) for id_ in ids if id_ in published
        ),
    )


async def reconcile(ids: Collection[str]) -> Reconciliation:
    """Read every store and compare."""
    wanted = frozenset(ids)
    created, published, stored, listed, shown = await asyncio.gather(
        _read("the topic transaction_created", readers.created(wanted)),
        _read("the topic transaction_status", readers.published(wanted)),
        _read("Cassandra", readers.stored(wanted)),
        _read("GET's list", readers.listed(wanted)),
        _read("GET by id", readers.shown(wanted)),
    )
    return compare(wanted, created, published, stored, listed, shown)


async def reconcile_until_settled(ids: Collection[str], within: float) -> Reconciliation:
    """Repeat until all is right, for `within` seconds: GET may show a status before its row is stored."""
    deadline = time.monotonic() + within
    reconciliation = await reconcile(ids)
    while not reconciliation.agrees and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        reconciliation = await reconcile(ids)
    return reconciliation


class UnreadableError(Exception):
    """A store that does not answer has not lost anything: nothing can be said about it."""


async def _read(place: str, reading: Awaitable[Found]) -> Found:
    try:
        return await reading
    except Exception as failure:
        reason = f"{type(failure).__name__}: {failure}"
        raise UnreadableError(f"{place} cannot be read: {reason}") from failure
