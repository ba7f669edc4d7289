"""Notices a worker that lives and does nothing: its liveness fails, and whoever keeps it running can restart it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping

from app.processing.batch_processor import BatchProcessor

log = logging.getLogger(__name__)

EVERY = 1.0
#: Seconds out of the group; a rebalance may wait for a worker that drains, and for one that has died.
OUT_AFTER = 180.0


class Watchdog:
    """Each second: does a batch processor that has work make progress? A step that fails and is retried does."""

    def __init__(
        self,
        processors: Mapping[str, BatchProcessor],
        is_behind: Callable[[str], bool],
        is_out: Callable[[], bool],
        after: float,
    ):
        """`processors` by topic; `is_behind`: a topic has records that a fetch should bring; `after`: seconds.

        `is_out`: Kafka answers, and this worker is not in its group, or a rebalance does not end; some take long.

        A partition that is held at an unreadable batch is none of this: a restart would find the same batch.
        """
        self._deliveries = processors
        self._is_behind = is_behind
        self._is_out = is_out
        self._out = 0.0
        self._after = after
        self._progress_count: dict[str, int] = {}
        # Counted in looks, not by the clock: a process that was stopped for an hour has not been stuck for one.
        self._still: dict[str, float] = dict.fromkeys(processors, 0.0)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for topic, processor in self._deliveries.items():
                self._look(topic, processor)
            self._look_at_the_group()
            await asyncio.sleep(EVERY)

    def _look(self, topic: str, processor: BatchProcessor) -> None:
        moved = processor.progress_count != self._progress_count.get(topic)
        self._progress_count[topic] = processor.progress_count
        if moved or not (processor.has_work or self._is_behind(topic)):
            self._still[topic] = 0.0
            return
        was_stuck = self.stuck is not None
        self._still[topic] += EVERY
        if self.stuck and not was_stuck:
            log.critical(
                "Stuck: %s; /health/live fails until it moves. A restart takes the work up again", self.stuck
            )

    def _look_at_the_group(self) -> None:
        before, self._out = self._out, self._out + EVERY if self._is_out() else 0.0
        if before < OUT_AFTER <= self._out:
            log.critical("Stuck: %s; /health/live fails until it is. A restart joins it anew", self.stuck)

    @property
    def stuck(self) -> str | None:
        """Why liveness fails, or None."""
        if self._out >= OUT_AFTER:
            return f"the worker has not been in its group for {self._out:.0f} s, though Kafka answers"
        for topic, still in self._still.items():
            if still >= self._after:
                return (
                    f"{topic} has records to handle and no step has begun, ended or failed for {still:.0f} s"
                )
        return None
