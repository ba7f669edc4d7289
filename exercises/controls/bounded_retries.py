"""A transactions worker that gives up a step after ten more tries; the micro-batch goes on without it."""

from __future__ import annotations

from app.bootstrap import create_app
from app.processing.batch_processor import (
    TRIES_BEFORE_ERROR,
    BatchProcessor,
    MicroBatch,
    PartitionsRevoked,
    Step,
)


async def _gives_up(self: BatchProcessor, step: Step, micro_batch: MicroBatch) -> None:
    """Instead of retrying for ever."""
    for _ in range(1 + TRIES_BEFORE_ERROR):
        if micro_batch.generation != self._generation:
            raise PartitionsRevoked
        try:
            await self._tried(step, micro_batch)
        except Exception:  # noqa: BLE001  # logged and dropped: what this control is about
            await self._pause(1)
        else:
            return


BatchProcessor._until_done = _gives_up  # type: ignore[method-assign]
app = create_app("transactions")
