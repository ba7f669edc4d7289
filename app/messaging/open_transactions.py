"""Says that a partition waits for a transaction of another producer: what is behind it cannot be read until it ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable

from faust.types import TP

log = logging.getLogger(__name__)

EVERY = 1.0
#: Seconds that one may be open before it is worth a line; ours end within one.
WORTH_A_LINE = 10.0


class OpenTransactions:
    """Looks each second where the partitions stand before an open transaction."""

    def __init__(self, waiting: Callable[[], Iterable[tuple[TP, int]]]):
        """`waiting`: the partitions that are read up to an open transaction, and the offset where it begins."""
        self._waiting = waiting
        self._since: dict[tuple[TP, int], float] = {}
        self._said: set[tuple[TP, int]] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self._look(time.monotonic())
            await asyncio.sleep(EVERY)

    def _look(self, now: float) -> None:
        waiting = set(self._waiting())
        for (tp, offset), since in list(self._since.items()):
            if (tp, offset) not in waiting:
                del self._since[tp, offset]
                if (tp, offset) in self._said:
                    self._said.discard((tp, offset))
                    log.warning(
                        "The transaction at %s[%d]@%d has ended after %.0f s", *tp, offset, now - since
                    )
        for one in waiting:
            if now - self._since.setdefault(one, now) >= WORTH_A_LINE and one not in self._said:
                self._said.add(one)
                log.error(
                    "%s[%d] waits for the end of a transaction that another producer has open since offset %d: what is "
                    "behind it is pending. A restart does not help; Kafka ends it after its producer's "
                    "transaction.timeout.ms (at most 15 minutes)",
                    *one[0], one[1],
                )  # fmt: skip

    def seconds(self) -> Iterable[tuple[TP, float]]:
        """How long each partition has waited."""
        now = time.monotonic()
        return [(tp, now - since) for (tp, _), since in self._since.items()]
