"""Which offsets may be committed: per partition, those before the first record that is not processed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from faust.types import TP


class OffsetCommits:
    """What was handed to an agent, and up to where its steps are done with it. Faust's acks do not count."""

    def __init__(self) -> None:
        self._processed: dict[TP, int] = {}
        # Where each batch ends that is not processed, and when it was written (its oldest record).
        self._in_hand: dict[TP, deque[tuple[int, float]]] = {}

    def handed_out(self, tp: TP, batch: Sequence[Any]) -> None:
        """An agent gets these records; called in order."""
        written = (batch[0].timestamp or 0) / 1000
        self._in_hand.setdefault(tp, deque()).append((batch[-1].offset + 1, written))

    def mark_processed(self, tp: TP, next_offset: int) -> None:
        """Everything of the partition before `next_offset` is done for good; called in order."""
        self._processed[tp] = max(next_offset, self._processed.get(tp, 0))
        in_hand = self._in_hand.get(tp)
        while in_hand and in_hand[0][0] <= next_offset:
            in_hand.popleft()

    def oldest_in_hand(self, tp: TP) -> float | None:
        """When the oldest record was written that is not processed, in seconds since 1970; None: there is none."""
        in_hand = self._in_hand.get(tp)
        return in_hand[0][1] if in_hand else None

    def processed_to(self, tp: TP, committed: int | None) -> int:
        """Up to where all is done."""
        return self._processed.get(tp, committed or 0)

    def due(self, committed: Mapping[TP, int | None]) -> dict[TP, int]:
        """What is to be committed."""
        return {tp: offset for tp, offset in self._processed.items() if offset > (committed[tp] or 0)}

    def forget(self, tp: TP) -> None:
        """The partition is another worker's."""
        self._processed.pop(tp, None)
        self._in_hand.pop(tp, None)
