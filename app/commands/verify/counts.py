"""The sums of a comparison: each transaction is counted once, at the last look at it, so that they hold. No I/O."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass

from app.commands.verify.observations import CREATED, ENTRY, MISFILED, PUBLISHED, STORED, Observation
from app.commands.verify.rules import Problem

Place = tuple[int, int]


@dataclass(slots=True)
class Counts:
    """Of transactions, but `published`: records of transaction_status. A record with a dead letter is one of its own.

    sent = decided + in_flight + dead_letters + missing_verdicts, and decided = stored + being_stored + missing_rows.
    """

    sent: int = 0
    decided: int = 0
    published: int = 0
    stored: int = 0
    in_redis: int = 0
    dead_letters: int = 0  # those not sent back: one that was is in the log once more
    in_flight: int = 0  # no verdict yet, nor is it due
    missing_verdicts: int = 0
    being_stored: int = 0  # no row yet, nor is it due
    missing_rows: int = 0
    sent_back: int = 0  # dead letters
    never_sent: int = 0  # published, with no record that asked: in no sum


class Tally:
    """Counts; every transaction goes into one class of each sum, which is what makes the sums hold."""

    def __init__(self) -> None:
        self.counts = Counts()
        self._in_flight: list[list[Place]] = []

    def plain(self, transactions: int, in_redis: int) -> None:
        """So many were decided, published once and stored."""
        counts = self.counts
        counts.sent += transactions
        counts.decided += transactions
        counts.published += transactions
        counts.stored += transactions
        counts.in_redis += in_redis

    def add(
        self,
        observations: Sequence[Observation],
        under_way: Iterable[Problem] = (),
        dead_lettered: Container[Place] = (),
    ) -> None:
        """One transaction at the last look at it, with those of its problems that are in flight."""
        counts = self.counts
        asked = [(one.partition, one.offset) for one in observations if one.place == CREATED]
        published = sum(one.place == PUBLISHED for one in observations)
        if not asked and not published:
            return  # newer than the end of the log, or extra
        counts.published += published
        counts.in_redis += any(one.place == ENTRY for one in observations)
        waits_for = {problem.where for problem in under_way}
        if not asked:
            counts.never_sent += 1
        elif published:
            counts.sent += 1
            counts.decided += 1
            self._add_row(
                any(one.place == STORED and one.bucket != MISFILED for one in observations), waits_for
            )
        elif all(place in dead_lettered for place in asked):
            pass  # its dead letter is counted
        elif "transaction_status" in waits_for:
            counts.sent += 1
            counts.in_flight += 1
            self._in_flight.append(asked)
        else:
            counts.sent += 1
            counts.missing_verdicts += 1

    def _add_row(self, stored: bool, waits_for: Container[str]) -> None:
        if stored:
            self.counts.stored += 1
        elif "cassandra" in waits_for:
            self.counts.being_stored += 1
        else:
            self.counts.missing_rows += 1

    def end(
        self, dead_letters: int, sent_back: int, dead_lettered: Container[Place], unreadable: int, lost: int
    ) -> None:
        """The rest: `dead_letters` in all, `unreadable` records without one of which a worker passed over `lost`."""
        counts = self.counts
        # In flight at a first look and a dead letter by the second: that one is counted now.
        moved = sum(all(place in dead_lettered for place in asked) for asked in self._in_flight)
        self._in_flight.clear()
        counts.in_flight += unreadable - lost - moved
        counts.missing_verdicts += lost
        counts.dead_letters, counts.sent_back = dead_letters - sent_back, sent_back
        counts.sent += unreadable - moved + counts.dead_letters
