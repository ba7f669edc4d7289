"""A transactions worker that ignores what was already published when it claims a partition."""

from __future__ import annotations

from app.bootstrap import create_app
from app.processing.adapters import Adapters
from app.processing.pipeline import ReadBack


class Forgetful(Adapters):
    """Claims a partition without reading it back."""

    async def read_back(self, partition: int, from_offset: int, read_to: int, most: int) -> ReadBack:
        """Whatever its status log has, it is as if it were empty."""
        found = await super().read_back(partition, from_offset, read_to, most)
        return ReadBack({}, found.end)


app = create_app("transactions", adapters=Forgetful)
