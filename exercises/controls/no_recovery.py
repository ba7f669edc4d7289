"""A transactions worker that ignores what was already published when it claims a partition."""

from __future__ import annotations

from app.bootstrap import create_app
from app.processing.adapters import Adapters
from app.processing.pipeline import Claimed


class Forgetful(Adapters):
    """Claims a partition without reading it back."""

    async def claim(self, partition: int, from_offset: int, read_to: int, most: int) -> Claimed:
        """Own the partition; whatever its status log has, it is as if it were empty."""
        claimed = await super().claim(partition, from_offset, read_to, most)
        return Claimed({}, claimed.end)


app = create_app("transactions", adapters=Forgetful)
