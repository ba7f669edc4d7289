"""A transactions worker that gives up a step after ten more tries; the micro-batch goes on without it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from app.bootstrap import create_app
from app.processing.assignment import FIRST_PAUSE, TRIES_BEFORE_ERROR, Assignment


class BoundedRetries(Assignment):
    """Loses what a step could not do."""

    async def until_done(self, step: Callable[..., Awaitable[None]], *what: Any) -> None:
        """Instead of retrying for ever."""
        for _ in range(1 + TRIES_BEFORE_ERROR):
            try:
                await self.attempt(step, *what)
            except Exception:  # noqa: BLE001  # logged and dropped: what this control is about
                await self.pause(FIRST_PAUSE)
            else:
                return


app = create_app("transactions", assignment=BoundedRetries)
