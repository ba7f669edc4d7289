"""So many dead letters that the fault lies elsewhere: a restored registry, a wrong schema, a bug."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Any

from app.errors import TooManyDeadLetters
from app.observability import metrics
from app.observability.private_logs import Quoting
from app.processing.assignment import MicroBatch

log = logging.getLogger(__name__)

#: The recent records of which a share may be dead letters.
RECENT = 1000
IN_A_ROW, SHARE = 100, 0.5


class DeadLetterLimit:
    """Holds a micro-batch that would add too many, until a restart with the cause or the limit changed."""

    def __init__(self, in_a_row: int = IN_A_ROW, share: float = SHARE):
        """`in_a_row`: of one partition; `share`: of the worker's last 1,000 records."""
        self._in_a_row, self._share = in_a_row, share
        self._rows: dict[int, int] = {}
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._is_said = False

    def count(self, micro_batch: MicroBatch, dead_letters: Sequence[Any]) -> None:
        """Count a micro-batch once, before its dead letters are written; TooManyDeadLetters if not counted."""
        if dead_letters:
            self._count_each(micro_batch, dead_letters)
        else:  # as nearly always: nothing to look at record by record
            for batch in micro_batch.batches:
                self._rows[batch.partition] = 0
                self._recent.extend([False] * len(batch.records))
        self._is_said = False
        metrics.DEAD_LETTERS_HELD.set(0)

    def _count_each(self, micro_batch: MicroBatch, dead_letters: Sequence[Any]) -> None:
        dead = {(dead_letter.partition, dead_letter.record.offset) for dead_letter in dead_letters}
        rows, recent, longest, most = dict(self._rows), self._recent.copy(), 0, 0
        dead_now = sum(recent)
        for batch in micro_batch.batches:
            for record in batch.records:
                is_dead = (batch.partition, record.offset) in dead
                rows[batch.partition] = rows.get(batch.partition, 0) + 1 if is_dead else 0
                dead_now += is_dead - (recent[0] if len(recent) == RECENT else 0)
                recent.append(is_dead)
                longest, most = max(longest, rows[batch.partition]), max(most, dead_now)
        if longest > self._in_a_row or most > self._share * RECENT:
            self._hold(longest, most, dead_letters)
        self._rows, self._recent = rows, recent

    def _hold(self, longest: int, most: int, dead_letters: Sequence[Any]) -> None:
        metrics.DEAD_LETTERS_HELD.set(len(dead_letters))
        what = f"{longest} dead letters in a row, {most} of the last {RECENT:,} records"
        if not self._is_said:
            log.error(
                "Held: %s (MAX_DEAD_LETTERS_IN_A_ROW=%d, MAX_DEAD_LETTERS_SHARE=%g). Last reason: %s. Nothing is "
                "lost. Fix what is wrong (registry, schema, our own code) and start the worker again; if they are dead "
                "letters for certain, start it with a higher limit (docs/operations.md)",
                what, self._in_a_row, self._share, Quoting(dead_letters[-1].reason),
            )  # fmt: skip
        self._is_said = True
        raise TooManyDeadLetters(what)
