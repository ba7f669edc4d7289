"""Whether everything that was acknowledged is true everywhere: in the log, decided, stored, readable; nothing twice.

A transaction is followed from its acknowledgement, or from its record, until it is readable; then only its number is
kept. What is missing is not called lost before it must be there: the log was read to its end after the acknowledgement;
the offset behind a record was committed, which is done last.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal

from app.live.feed import Logged, Written
from app.messaging import topics
from app.messaging.dead_letters import headers_of, source_of
from app.models.status import FIRST_VERDICT, TransactionStatus
from app.models.transaction import Transaction

#: Acknowledgements and ids kept: for a look back, and to see what is there twice.
KEPT = 50_000
#: Transactions followed at once: 100 MB. Beyond, while a part is down for long, the audit begins anew.
FOLLOWED_MOST = 200_000
#: Seconds within which a transaction is where the next step has put it, but for an outage.
PATIENCE = 1.0

Place = tuple[int, int]
State = Literal["ok", "wrong", "unknown"]


@dataclass(slots=True)
class Counts:
    """What the truth strip shows."""

    acknowledged: int = 0  # answers 201 of this bff
    in_log: int = 0
    decided: int = 0
    dead_letters: int = 0
    stored: int = 0
    readable: int = 0
    pending: int = 0  # in the log, not decided yet
    lost: int = 0
    twice: int = 0


@dataclass(slots=True)
class Followed:
    """A transaction on its way. `since`: monotonic, when it came to where it is now."""

    place: Place
    since: float
    transaction_id: str
    event_timestamp: int
    is_stored: bool = False
    is_old: bool = False  # its record was read as backlog: its verdict may be before what was read

    @property
    def key(self) -> Transaction:
        """As much of the transaction as its place in the stores depends on."""
        return {"transaction_id": self.transaction_id, "event_timestamp": self.event_timestamp}  # type: ignore[typeddict-item]


@dataclass(slots=True)
class Missing:
    """Ids of what is missing where it must be."""

    in_log: set[str] = field(default_factory=set)
    verdict: set[str] = field(default_factory=set)
    row: set[str] = field(default_factory=set)
    shown: set[str] = field(default_factory=set)


class Audit:
    """The counts of what the feed has brought since it began; no I/O (see audit_rounds.py)."""

    def __init__(self) -> None:
        self._started_ms = time.time() * 1000  # acknowledgements are known from now on
        self._acknowledged_lately: deque[str] = deque(maxlen=KEPT)
        self._reset()

    def _reset(self) -> None:
        self.counts = Counts()
        self.since: float | None = None  # seconds since 1970
        self.is_live = False
        self.missing = Missing()
        self._not_in_log: dict[str, float] = {}  # acknowledged, its record not seen yet; since when
        self._before = set(self._acknowledged_lately)
        self._undecided: dict[str, Followed] = {}
        self._decided: dict[str, Followed] = {}  # not readable yet
        self._id_at: dict[Place, str] = {}  # of the undecided
        self._early: set[str] = set()  # with a verdict; the record has not been read yet
        self._known: dict[str, Place | None] = {}  # ids in the log, and where their first verdict is

    def acknowledged(self, transaction_id: str) -> None:
        """A POST was answered with 201."""
        self._acknowledged_lately.append(transaction_id)
        if self.since is not None:
            self.counts.acknowledged += 1
            if transaction_id not in self._known:
                self._not_in_log[transaction_id] = time.monotonic()

    def begin(self, offsets: Mapping[int, int]) -> None:
        """The feed begins, a little before the end of the log."""
        self._reset()
        self.since = time.time()

    def went_live(self) -> None:
        """What the log had when the feed began was read: verdicts whose records are not there are older ones'."""
        self.is_live = True
        self._before = set()
        self._early.clear()

    def take(self, written: Written) -> None:
        """More was written."""
        now = time.monotonic()
        for one in written.statuses:
            self._take_status(one, now)
        for created in written.created:
            self._take_created(created, now)
        for record in written.dead_letters:
            self._take_dead_letter(source_of(headers_of(record)))
        self.counts.pending = len(self._undecided)
        self._forget()

    def _take_created(self, one: Logged[Transaction], now: float) -> None:
        transaction_id, place = one.value["transaction_id"], (one.partition, one.offset)
        if not self.is_live and one.timestamp_ms < self._started_ms and transaction_id not in self._before:
            return  # an earlier bff's, whose acknowledgements nobody knows: all counts begin at the same moment
        self._not_in_log.pop(transaction_id, None)
        self.missing.in_log.discard(transaction_id)
        if transaction_id in self._undecided or transaction_id in self._decided:
            return  # the same again, by a retry with an Idempotency-Key
        if self._known.get(transaction_id) is not None and transaction_id not in self._early:
            return
        self._known.setdefault(transaction_id, None)
        self.counts.in_log += 1
        self.since = min(self.since or time.time(), one.timestamp_ms / 1000)
        if transaction_id in self._before:
            self.counts.acknowledged += 1
        followed = Followed(place, now, transaction_id, one.value["event_timestamp"], is_old=not self.is_live)
        if transaction_id in self._early:
            self._early.discard(transaction_id)
            self._is_decided(followed, now)
        else:
            self._undecided[transaction_id] = followed
            self._id_at[place] = transaction_id

    def _take_status(self, one: Logged[TransactionStatus], now: float) -> None:
        transaction_id, place = one.value["transaction_id"], (one.partition, one.offset)
        self.missing.verdict.discard(transaction_id)
        if one.value["revision"] != FIRST_VERDICT:
            return
        if self._known.get(transaction_id) not in (None, place):
            self.counts.twice += 1
            return
        self._known[transaction_id] = place
        if followed := self._undecided.pop(transaction_id, None):
            self._id_at.pop(followed.place, None)
            self._is_decided(followed, now)
        else:
            self._early.add(transaction_id)

    def _is_decided(self, followed: Followed, now: float) -> None:
        self.counts.decided += 1
        followed.since = now
        self._decided[followed.transaction_id] = followed

    def _take_dead_letter(self, source: tuple[str, int, int] | None) -> None:
        if source is None or source[0] != topics.CREATED:
            return
        transaction_id = self._id_at.pop(source[1:], None)
        if transaction_id is not None:
            del self._undecided[transaction_id]
            self.missing.verdict.discard(transaction_id)
            self.counts.dead_letters += 1

    def _forget(self) -> None:
        while len(self._known) > KEPT:
            del self._known[next(iter(self._known))]
        if len(self._early) > KEPT:
            self._early.clear()
        if len(self._undecided) + len(self._decided) + len(self._not_in_log) > FOLLOWED_MOST:
            self._acknowledged_lately.clear()
            self._reset()
            self.since, self.is_live = time.time(), True

    # What a round asks about, and what it has found out

    def overdue_in_log(self) -> list[str]:
        """Ids that were acknowledged and whose records should have been read by now."""
        latest = time.monotonic() - PATIENCE
        return [id_ for id_, since in self._not_in_log.items() if since < latest]

    def not_in_log(self, ids: Iterable[str]) -> None:
        """The log was read to its end after these were acknowledged."""
        self.missing.in_log |= {id_ for id_ in ids if id_ in self._not_in_log}

    def overdue_verdicts(self) -> dict[str, Place]:
        """Where the records are that should be decided by now."""
        latest = time.monotonic() - PATIENCE
        return {id_: one.place for id_, one in self._undecided.items() if one.since < latest}

    def committed_without_verdict(self, ids: Iterable[str]) -> None:
        """Their offsets are committed, and the log has neither a verdict nor a dead letter on them."""
        for id_ in ids:
            if one := self._undecided.get(id_):
                if one.is_old:
                    self._leave_out(id_, one)
                else:
                    self.missing.verdict.add(id_)

    def _leave_out(self, transaction_id: str, one: Followed) -> None:
        """Its verdict is before what was read: it is not among those that are counted."""
        del self._undecided[transaction_id]
        self._id_at.pop(one.place, None)
        self.counts.in_log -= 1
        self.counts.pending = len(self._undecided)

    def not_stored(self, most: int) -> list[Followed]:
        """Decided ones whose rows have not been seen yet, the oldest first."""
        return [one for one in self._decided.values() if not one.is_stored][:most]

    def not_readable(self, most: int) -> list[Followed]:
        """Decided ones that GET has not been seen to show, the oldest first."""
        return list(self._decided.values())[:most]

    def stored(self, ids: Collection[str]) -> None:
        """Their rows are there."""
        for id_ in ids:
            one = self._decided.get(id_)
            if one and not one.is_stored:
                one.is_stored = True
                self.counts.stored += 1
                self.missing.row.discard(id_)

    def readable(self, ids: Iterable[str]) -> None:
        """GET shows their verdicts; who is stored too is followed no longer."""
        for id_ in ids:
            one = self._decided.get(id_)
            if one and one.is_stored:
                del self._decided[id_]
                self.counts.readable += 1
                self.missing.shown.discard(id_)

    def late(self, some: Iterable[Followed]) -> list[Followed]:
        """Those of them that were decided long enough ago to be in every place."""
        latest = time.monotonic() - PATIENCE
        return [one for one in some if one.since < latest]

    def without_row(self, ids: Iterable[str]) -> None:
        """Their offsets are committed, and no replica has a row."""
        self.missing.row |= self._decided.keys() & set(ids)

    def not_shown(self, ids: Iterable[str]) -> None:
        """They are stored, and a Redis that calls itself complete does not show them."""
        self.missing.shown |= self._decided.keys() & set(ids)

    def snapshot(self) -> dict[str, int]:
        """The counts, now."""
        lost = self.missing.in_log | self.missing.verdict | self.missing.row | self.missing.shown
        self.counts.lost = len(lost)
        return asdict(self.counts)

    def words(self) -> tuple[State, str]:
        """The state, and a sentence that says what is wrong."""
        missing, counts = self.missing, self.counts
        wrong = [
            f"{len(ids)} {what}"
            for ids, what in (
                (missing.in_log, "acknowledged and not in the log"),
                (missing.verdict, "committed without a verdict"),
                (missing.row, "decided without a row"),
                (missing.shown, "stored and not shown"),
            )
            if ids
        ]
        if counts.twice:
            wrong.append(f"{counts.twice} decided twice")
        if wrong:
            return "wrong", "; ".join(wrong)
        return (
            "ok",
            "everything that was acknowledged is in the log; everything decided is stored and shown, once",
        )
