"""A bff that reads Redis alone, as the old one did: no Cassandra behind it, no sign of completeness, no refill."""

from __future__ import annotations

import asyncio

from app.bootstrap import create_app
from app.read_model.maintainer import ReadModelMaintainer
from app.read_model.read_model import Listing, ReadModel


async def _newest(self: ReadModel, limit: int, before: str | None) -> Listing:
    """What Redis has, whether that is all or not."""
    page = await self._recent.newest(limit, before)
    return Listing(page.entries, page.last_key, "redis", may_lack=False)


async def _never(self: ReadModelMaintainer) -> None:
    """In place of a refill: nothing, without end."""
    await asyncio.Event().wait()


ReadModel.newest = _newest  # type: ignore[method-assign]
ReadModelMaintainer.keep_complete = _never  # type: ignore[method-assign]
app = create_app("bff")
