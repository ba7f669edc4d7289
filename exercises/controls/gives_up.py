"""A transactions worker whose steps are given up after ten more tries; the round goes on without."""

from __future__ import annotations

from app.bootstrap import create_app
from app.processing.batch_processor import TRIES_BEFORE_ERROR, Abandoned, Delivery, Round, Step


async def _gives_up(self: Delivery, step: Step, round_: Round) -> None:
    """In place of a hold that has no end."""
    for _ in range(1 + TRIES_BEFORE_ERROR):
        if round_.generation != self._generation:
            raise Abandoned
        try:
            await self._tried(step, round_)
        except Exception:  # noqa: BLE001  # logged and dropped: what this control is about
            await self._pause(1)
        else:
            return


Delivery._until_done = _gives_up  # type: ignore[method-assign]
app = create_app("transactions")
