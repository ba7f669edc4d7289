"""What several exercises promise, judged in the same way."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import Counter
from collections.abc import Collection, Container, Sequence
from typing import Any

from exercises.calls import answered, call
from exercises.context import Context, say
from exercises.faults import PartLog
from exercises.load_client import LoadClient
from generator.client import PATH, Answer
from reconciliation import readers

FINAL = ("accepted", "rejected")


def served(
    context: Context, clients: LoadClient, since: float, when: str, until: float | None = None
) -> None:
    """Every POST sent in that time was answered 201, every GET 200."""
    posts, gets = clients.posts(since, until), clients.reads(since, until)
    refused = Counter(answer.error for answer in posts if answer.status != 201)
    failed = Counter(get.status for get in gets if get.status != 200)
    context.promise(
        f"{when}: every POST 201, every GET 200",
        bool(posts and gets) and not refused and not failed,
        f"{len(posts)} POSTs, {refused.total()} not taken; {len(gets)} GETs, {failed.total()} failed",
    )


def decided(context: Context, post: Answer, when: str, within: float = 30.0) -> None:
    """A transaction of that time gets its verdict while the part is still dead, so long after its POST."""
    wall = time.time() - time.monotonic()  # decided_at is of the wall clock
    entry: dict[str, Any] = {}
    while not (final := entry.get("status") in FINAL) and time.monotonic() < post.sent + within:
        time.sleep(0.1)
        status, shown = call("GET", f"{PATH}/{post.transaction_id}")
        entry = json.loads(shown) if status == 200 else {}
    said = f"no verdict within {within:.0f} s"
    if final:
        took = entry["decided_at"] / 1000 - wall - post.sent
        said = f"{entry['status']}, decided {took * 1000:.0f} ms after its POST"
    say(f"  that transaction: {said}")
    context.promise(f"{when}: transactions are decided", final, said)


def caught_up(
    context: Context, clients: LoadClient, when: str, since: float | None = None, within: float = 60.0
) -> None:
    """Nothing waits any more, as Kafka reports it; counted from `since`, or from now on."""
    began, most = time.monotonic(), at_rest(clients.rate)
    since, calm = since or began, None
    while time.monotonic() < began + within:
        if clients.lags[-1][0] > began and (calm := calm_since(clients.lags, most)) is not None:
            break
        time.sleep(0.2)
    took, lag = max(0.0, (calm or time.monotonic()) - since), clients.lags[-1][1]
    say(f"  {'NOT caught up' if calm is None else 'caught up'} after {took:.1f} s: lag {lag}")
    context.promise(f"{when}: what waited is done", calm is not None, f"lag {lag} after {took:.1f} s")


def repeated(log: PartLog) -> int:
    """How many verdicts a worker that came back has found in the log: what its predecessor had not committed."""
    found = log.lines("verdicts of partition", "are in the log already")
    again = sum(int(count) for line in found for count in re.findall(r"(\d+) verdicts", line))
    say(f"  its log: {again} verdicts were in the log already: not asked again")
    return again


def at_rest(rate: float) -> int:
    """The lag that is none: what comes in half a second. The worker commits each 0.25 s, so some are always counted."""
    return max(10, round(rate / 2))


def calm_since(lags: Sequence[tuple[float, int | None]], most: int) -> float | None:
    """When the last look began to find so few, and all looks after it; None if the newest finds more, or nothing."""
    calm = None
    for at, lag in reversed(list(lags)):
        if lag is None or lag > most:
            break
        calm = at
    return calm


def in_the_log_all_the_same(clients: LoadClient) -> None:
    """How many POSTs that got no 201 are in the log: a fact, no promise. Nothing else may POST meanwhile."""
    without = [answer for answer in clients.answers if answer.transaction_id is None]
    if without and clients.ids:
        there = asyncio.run(readers.created(OthersSince(clients.ids)))
        say(f"  POSTs without a 201: {answered(without)}; in the log all the same: {len(there)}")


class OthersSince(Container[str]):
    """Each id that is none of these and was made after the first of them (ids are UUIDv7: they grow with time)."""

    def __init__(self, ids: Collection[str]) -> None:
        self._ids, self._first = frozenset(ids), min(ids)

    def __contains__(self, id_: object) -> bool:
        if not isinstance(id_, str) or len(id_) != len(self._first):  # a dead letter's key may be any text
            return False
        return id_ > self._first and id_ not in self._ids
