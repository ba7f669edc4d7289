"""A transactions worker that begins with an empty history, as one whose state is in its memory alone."""

from __future__ import annotations

from app.bootstrap import create_app
from app.processing.adapters import Adapters
from app.processing.customer_state import CustomerState


class Amnesiac(Adapters):
    """Knows of its customers what it has seen itself."""

    async def customer_state(self, partition: int) -> CustomerState:
        """Where the log ends, and nothing of what is in it."""
        return CustomerState(folded_to=(await super().customer_state(partition)).folded_to)

    async def keep(self, partition: int, state: CustomerState) -> None:
        """No snapshot: the next worker would go on from what is wrong."""


app = create_app("transactions", adapters=Amnesiac)
