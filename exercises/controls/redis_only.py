"""A bff that reads Redis alone, as the old one did: no Cassandra behind it, no sign of completeness, no refill."""

from __future__ import annotations

import asyncio

from app.bootstrap import create_app
from app.read_model.maintainer import ReadModelMaintainer
from app.read_model.read_model import Listing, ReadModel


class RedisOnly(ReadModel):
    """Has no second store."""

    async def newest(self, limit: int, before: str | None) -> Listing:
        """What Redis has, whether that is all or not."""
        page = await self._recent.newest(limit, before)
        return Listing(page.entries, page.last_key, "redis", may_lack=False)


class NeverRefilled(ReadModelMaintainer):
    """Maintains nothing."""

    async def keep_complete(self) -> None:
        """Instead of a refill: nothing, without end."""
        await asyncio.Event().wait()


app = create_app("bff", read_model=RedisOnly, maintainer=NeverRefilled)
