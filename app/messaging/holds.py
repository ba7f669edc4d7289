"""Partitions that stand before a batch nobody can read: each waits alone, in sight, until it can be read or is passed.

A damaged disk, an unknown codec, a refused read: another replica may have it whole, so it is tried again. What cannot
be repaired, `make pass-over` puts into the dead letters; the worker finds it there and continues behind it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from faust.types import TP

from app.messaging.dead_letters import place_of
from app.messaging.fetching import Unreadable

log = logging.getLogger(__name__)

#: Seconds between two tries of a held partition, and between two looks for what has been passed over.
AGAIN_AFTER = 5.0


@dataclass(slots=True)
class Hold:
    """Where a partition stands, why, since when and when it is tried again (monotonic seconds)."""

    offset: int
    reason: str
    since: float
    again_at: float


class Holds:
    """The held partitions of one consumer."""

    def __init__(self) -> None:
        self._held: dict[TP, Hold] = {}
        #: By topic, partitions whose turn has not come (Pipeline.held); nothing more of them is handed out.
        self.not_yet: dict[str, Collection[int]] = {}

    def to_read(self, partitions: Collection[TP]) -> set[TP]:
        """Those that are not held, or are to be tried again now."""
        now = time.monotonic()
        # A copy, made at once: this is the consumer's thread, and Faust's own changes the set.
        return {
            tp
            for tp in frozenset(partitions)
            if ((hold := self._held.get(tp)) is None or hold.again_at <= now)
            and tp.partition not in self.not_yet.get(tp.topic, ())
        }

    def note(self, found: Collection[TP], unreadable: Mapping[Any, Unreadable]) -> None:
        """What a read has come to."""
        for tp in found:
            if hold := self._held.pop(TP(*tp), None):
                log.warning(
                    "%s can be read again after %.0f s",
                    place_of((*tp, hold.offset)),
                    time.monotonic() - hold.since,
                )
        for tp, where in unreadable.items():
            self._hold(TP(*tp), where)

    def _hold(self, tp: TP, where: Unreadable) -> None:
        now = time.monotonic()
        known = self._held.get(tp)
        if known and known.offset == where.offset:
            known.again_at = now + AGAIN_AFTER
            return
        hold = self._held[tp] = Hold(where.offset, where.reason, now, now + AGAIN_AFTER)
        log.critical(
            "%s cannot be read, and its partition is held: %s. The others go on. It is tried again every %g s; "
            "if its bytes are lost on every replica: make pass-over AT=%s:%d:%d",
            place_of((*tp, hold.offset)), hold.reason, AGAIN_AFTER, tp.topic, tp.partition, hold.offset,
        )  # fmt: skip

    def release(self, tp: TP) -> None:
        """It was passed over, or the partition went."""
        self._held.pop(tp, None)

    def __contains__(self, tp: object) -> bool:
        return tp in self._held

    def __iter__(self) -> Iterator[tuple[TP, Hold]]:
        return iter(list(self._held.items()))
