"""What verdicts say was known of merchants, and what merchant_totals says of the log, made again of the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.messaging import topics
from app.models.label import TransactionLabel
from app.models.merchant_totals import Stretch, add_status, of_labels, of_statuses
from app.models.status import TransactionStatus
from app.processing.known_merchants import NOTHING_KNOWN, CountedTo, KnownMerchants
from history.features import MERCHANT_FEATURES
from history.merchant_totals import MerchantTotals
from history.transactions import DAY, day_of

Found = Sequence[tuple[int, Any]]  # (offset, record)


@dataclass(frozen=True, slots=True)
class Difference:
    """A record whose features or totals are not those of the log before it: by name, recorded and recomputed.

    `transaction_id` is empty where it is a record of merchant_totals; `place`: partition and offset in `topic`.
    """

    transaction_id: str
    place: tuple[int, int]
    features: dict[str, tuple[Any, Any]]
    topic: str = topics.STATUS


class Same(NamedTuple):
    """What several verdicts say of a merchant that must all say the same; the first of them."""

    row: list[int]  # of history.features.MERCHANT_FEATURES
    transaction_id: str
    place: tuple[int, int]


@dataclass(slots=True)
class RecordedMerchants:
    """The verdicts of a log by what their merchants' features are a function of: as of when, who, which day."""

    _of: dict[int, dict[tuple[str, int], Same]] = field(default_factory=dict)

    def add(self, status: TransactionStatus, row: list[int], place: tuple[int, int]) -> Difference | None:
        """One more verdict, with its merchant's features on record; a Difference if it is wrong for certain."""
        as_of = status.get("merchants_as_of")
        if as_of is None:
            return _difference(Same(row, status["transaction_id"], place), NOTHING_KNOWN)
        key = status["merchant_id"], day_of(status["event_timestamp"])
        of_offset = self._of.setdefault(as_of, {})
        held = of_offset.get(key)
        if held is None:
            of_offset[key] = Same(row, status["transaction_id"], place)
            return None
        return _difference(Same(row, status["transaction_id"], place), held.row)

    def differences(self, stretches: Found) -> Iterator[Difference]:
        """Those that are not what merchant_totals says, `stretches` being all of it."""
        known, left = KnownMerchants(), list(reversed(stretches))
        for as_of, recorded in sorted(self._of.items()):
            before = []
            while left and left[-1][0] < as_of:
                before.append(left.pop())
            known.fold(before, as_of)
            rows = known.features(
                [merchant_id for merchant_id, _ in recorded], [day * DAY for _, day in recorded]
            )
            for number, same in enumerate(recorded.values()):
                row = NOTHING_KNOWN if rows is None else rows[number].tolist()
                if found := _difference(same, row):
                    yield found


def _difference(recorded: Same, row: list[int]) -> Difference | None:
    pairs = zip(MERCHANT_FEATURES, zip(recorded.row, row, strict=True), strict=True)
    named = {name: both for name, both in pairs if both[0] != both[1]}
    return Difference(recorded.transaction_id, recorded.place, named) if named else None


#: Of a source: what a stretch is made in, how a record is added, and what is made of it.
MAKING: Mapping[str, tuple[Callable[[], Any], Callable[[Any, Any], None], Callable[..., Stretch]]] = {
    topics.STATUS: (MerchantTotals, add_status, of_statuses),
    topics.LABEL: (list[TransactionLabel], list.append, of_labels),
}


class StretchCheck:
    """The records of merchant_totals that count, made again of what they are of."""

    def __init__(self, stretches: Found):
        """`stretches`: all of merchant_totals."""
        counted_to = CountedTo()
        self._of: dict[tuple[str, int], list[tuple[int, Stretch]]] = defaultdict(list)
        for offset, stretch in stretches:
            if counted_to.counts(stretch):
                self._of[stretch["source"], stretch["partition"]].append((offset, stretch))
        self._made: dict[tuple[str, int], Any] = {}

    @property
    def sources(self) -> set[str]:
        """The topics that there are stretches of."""
        return {source for source, _ in self._of}

    def read(self, source: str, partition: int, found: Found) -> Iterator[Difference]:
        """These (offset, record) follow in the partition; what is wrong with stretches that have ended."""
        left, (new, add, _) = self._of.get((source, partition), []), MAKING[source]
        for offset, one in found:
            yield from self._ended(source, partition, offset)
            if left and offset >= left[0][1]["from_offset"]:
                add(self._made.setdefault((source, partition), new()), one)

    def ended(self) -> Iterator[Difference]:
        """All is read."""
        for source, partition in self._of:
            yield from self._ended(source, partition, None)

    def _ended(self, source: str, partition: int, offset: int | None) -> Iterator[Difference]:
        left, (new, _, of) = self._of.get((source, partition), []), MAKING[source]
        while left and (offset is None or offset >= left[0][1]["to_offset"]):
            at, recorded = left.pop(0)
            made = self._made.pop((source, partition), new())
            again = of(partition, recorded["from_offset"], recorded["to_offset"], made)
            if named := _named(recorded, again):
                yield Difference("", (0, at), named, topics.MERCHANT_TOTALS)


def _named(recorded: Stretch, again: Stretch) -> dict[str, tuple[Any, Any]]:
    """The rows of two records that are not the same, by merchant and day."""
    on, is_ = _rows(recorded), _rows(again)
    return {
        key: (on.get(key), is_.get(key))
        for key in sorted(on.keys() | is_.keys())
        if on.get(key) != is_.get(key)
    }


def _rows(stretch: Stretch) -> Mapping[str, Any]:
    totals: Iterable[Any] = stretch["totals"]
    frauds: Iterable[Any] = stretch["frauds"]
    return {
        **{f"{one['merchant_id']} on day {one['day']}": dict(one) for one in totals},
        **{
            f"{one['merchant_id']} on day {one['day']}, known on {one['known_on']}": dict(one)
            for one in frauds
        },
    }
