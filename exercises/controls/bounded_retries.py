"""A transactions worker that gives up a step after ten more tries; the micro-batch goes on without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from app.bootstrap import create_app
from app.processing.assignment import FIRST_PAUSE, TRIES_BEFORE_ERROR, Assignment


async def _gives_up(self: Assignment, step: Callable[[Any], Awaitable[None]], what: Any) -> None:
    """Instead of retrying for ever."""
    for _ in range(1 + TRIES_BEFORE_ERROR):
        try:
            await self._tried(step, what)
        except Exception:  # noqa: BLE001  # logged and dropped: what this control is about
            await self._pause(FIRST_PAUSE)
        else:
            return


Assignment._until_done = _gives_up  # type: ignore[method-assign]
app = create_app("transactions")
