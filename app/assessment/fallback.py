"""Asking antifraud while it may be down: how long to go on, and what is said when nobody answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from app.errors import AntifraudUnavailable, WrongAnswer
from app.models.assessment import Assessment, unassessed
from app.models.transaction import Transaction
from app.observability.transaction_logger import OUTAGE_OVER_AFTER, TransactionLogger
from app.retry import pauses

WhenDown = Literal["reject", "hold"]
#: Transactions, and what is known of the customer of each: a row of history.features.
Assess = Callable[[Sequence[Transaction], NDArray[np.int64]], Awaitable[Sequence[Assessment]]]


class AssessmentFallback:
    """Knows since when nobody answers."""

    def __init__(
        self,
        assess: Assess,
        transaction_logger: TransactionLogger,
        *,
        when_down: WhenDown,
        outage_timeout: float,
    ):
        """`when_down`, `outage_timeout`: what is decided while antifraud is unavailable, after how many seconds."""
        self._assess = assess
        self._transaction_logger = transaction_logger
        self._when_down = when_down
        self._outage_timeout = outage_timeout
        self._down_since: float | None = None
        self._failed_at = 0.0

    async def assess(
        self, transactions: Sequence[Transaction], features: NDArray[np.int64]
    ) -> Sequence[Assessment]:
        """Antifraud's verdicts; after `outage_timeout` seconds without any the setting's, one try per micro-batch."""
        waits = pauses(0.05, 1.0)
        while transactions:
            began = time.monotonic()
            try:
                said = await self._assess(transactions, features)
            except WrongAnswer:
                # Somebody answers: no outage, so the micro-batch is held and nothing is rejected.
                self._down_since = None
                raise
            except AntifraudUnavailable:
                if self._when_down == "hold":
                    raise
                pause = next(waits)
                if time.monotonic() + pause > self._down_from(began) + self._outage_timeout:
                    self._transaction_logger.unassessed(len(transactions))
                    return unassessed(len(transactions))
            else:
                self._down_since = None
                self._transaction_logger.assessed()
                return said
            await asyncio.sleep(pause)
        return []

    def _down_from(self, began: float) -> float:
        """When the outage of a failed call began; one that no call has met for long counts as over."""
        now = time.monotonic()
        if self._down_since is None or began - self._failed_at > OUTAGE_OVER_AFTER:
            self._down_since = now
        self._failed_at = now
        return self._down_since
