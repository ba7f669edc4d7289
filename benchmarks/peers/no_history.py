"""Our worker as if it knew no customer: it keeps no history, asks without one, and puts none on record."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from app.bootstrap import create_app
from app.messaging import topics
from app.models.status import TransactionStatus
from app.models.transaction import Transaction
from app.processing.adapters import Adapters
from app.processing.customer_state import CustomerState, Features
from app.processing.merchant_totals import MerchantTotalsKeeper
from app.resources import Resources

_load_schema = topics.load_schema


class NothingKnown(CustomerState):
    """Of nobody, ever."""

    def observe(self, transactions: Sequence[Transaction]) -> Features:
        """A row without features for each."""
        return np.empty((len(transactions), 0), np.int64)

    def forget(self, count: int) -> None:
        """There is nothing to forget."""

    def published(self, offsets: Sequence[int], last_id: str) -> None:
        """Where the log is read from when the partition is claimed again."""
        self.folded_to = offsets[-1] + 1

    def fold(self, found: Iterable[tuple[int, TransactionStatus]], next_offset: int) -> None:
        """The same."""
        self.folded_to = next_offset


class NothingOfMerchants(MerchantTotalsKeeper):
    """Neither known nor written."""

    def features(self, transactions: Sequence[Transaction]) -> tuple[Features | None, int | None]:
        """Nothing."""
        return None, None

    def published(
        self, partition: int, offsets: Sequence[int], statuses: Sequence[TransactionStatus]
    ) -> None:
        """They are not counted."""

    async def round(self, now: float) -> None:
        """Nothing is read, nothing written."""


class WithoutHistory(Adapters):
    """Reads no history at an assignment, and leaves the snapshots as they are."""

    def __init__(self, resources: Resources):
        super().__init__(resources)
        self.merchants = NothingOfMerchants(resources)

    async def customer_state(self, partition: int) -> CustomerState:
        """What is known of its customers: nothing, of whatever the log has until now."""
        ends = await self._ends(topics.STATUS, [partition])
        return NothingKnown(folded_to=ends[partition])

    async def keep(self, partition: int, state: CustomerState) -> None:
        """No snapshot."""


def _without_history(topic: str) -> dict[str, Any]:
    schema = _load_schema(topic)
    return schema | {"fields": [field for field in schema["fields"] if field["name"] != "history"]}


topics.load_schema = _without_history
app = create_app("transactions", adapters=WithoutHistory)
