"""Which part of a topic: all of it, a span of time, or a span of offsets."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

#: Partition -> offset.
Places = Mapping[int, int]

#: Milliseconds: Kafka is of 2011. A number of seconds that goes back further is one since 1970.
EARLIEST = 1_293_840_000_000

_PLACE = re.compile(r"(\d+):(\d+)")


@dataclass(frozen=True, slots=True)
class ReadRange:
    """From `since` (inclusive) to `until` (not included), in milliseconds since 1970; or the same in offsets.

    With offsets only the partitions named are read, from `first` (else the beginning) to `last` (else the end).
    """

    since: int | None = None
    until: int | None = None
    first: Places | None = None
    last: Places | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it is all of the topic."""
        return self == WHOLE

    @property
    def partitions(self) -> set[int] | None:
        """Those that are named; None when all are meant."""
        return None if self.first is None and self.last is None else {*(self.first or ()), *(self.last or ())}


WHOLE = ReadRange()


def read_range_of(since: str | None, until: str | None, first: str | None, last: str | None) -> ReadRange:
    """The span that the options say; SystemExit when they contradict each other or cannot be read."""
    if (since or until) and (first or last):
        raise SystemExit("say a span of time (--since, --until) or of offsets (--from-offset, --to-offset)")
    now = time.time()
    return ReadRange(
        None if since is None else moment(since, now),
        None if until is None else moment(until, now),
        None if first is None else places(first),
        None if last is None else places(last),
    )


def moment(text: str, now: float) -> int:
    """`3600` (seconds ago) or `2026-11-24T18:00` (UTC unless it names a zone), in milliseconds since 1970."""
    try:
        at = int((now - float(text)) * 1000)
    except (ValueError, OverflowError):
        pass
    else:
        if not EARLIEST <= at <= now * 1000:
            raise SystemExit(
                f"{text} seconds ago is no time of a topic's; a time is said as 2026-11-24T18:00"
            )
        return at
    try:
        said = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SystemExit(f"{text!r} is neither seconds ago (3600) nor a time (2026-11-24T18:00)") from exc
    return int((said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() * 1000)


def places(text: str) -> dict[int, int]:
    """`0:1200,3:900`: of partition 0 offset 1200, of partition 3 offset 900."""
    found = {}
    for part in text.split(","):
        place = _PLACE.fullmatch(part.strip())
        if not place:
            raise SystemExit(f"{text!r} is not a list of PARTITION:OFFSET, such as 0:1200,3:900")
        found[int(place[1])] = int(place[2])
    return found
