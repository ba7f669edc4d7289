"""The label beside a transaction in GET: Cassandra's; a GET neither fails nor waits long for it."""

from __future__ import annotations

import time
from typing import Any, Protocol

from app.errors import StoreUnavailable
from app.models.label import StoredLabel, shown_label
from app.stores.consistency import OneReplicaLacksIt

#: Seconds that a GET waits for a label, and for which nobody asks again after it did not come.
WITHIN, SILENT_FOR = 0.5, 1.0

MAY_BE_MISSING = {"label_may_be_missing": True}


class Table(Protocol):
    """See app.stores.labels_table."""

    async def find(self, transaction_id: str, timeout: float) -> StoredLabel | None:
        """The label that counts."""


class ShownLabels:
    """What GET shows of labels, and that one may be missing while Cassandra does not answer."""

    def __init__(self, table: Table):
        self._table = table
        self._silent_until = 0.0

    async def of(self, transaction_id: str) -> dict[str, Any]:
        """The keys beside the transaction's own; none where nobody has labelled it."""
        now = time.monotonic()
        if now < self._silent_until:
            return MAY_BE_MISSING
        if self._silent_until:
            self._silent_until = now + SILENT_FOR  # one asks for all
        try:
            found = await self._table.find(transaction_id, WITHIN)
        except OneReplicaLacksIt:
            self._silent_until = 0.0  # it answers, and may have others
            return MAY_BE_MISSING
        except StoreUnavailable:
            self._silent_until = time.monotonic() + SILENT_FOR
            return MAY_BE_MISSING
        self._silent_until = 0.0
        return shown_label(found)
