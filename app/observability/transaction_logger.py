"""Transactions in the log: one line each while they are few, one line per batch above 10 per second."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence

from app.models.reasons import from_text
from app.models.status import TransactionStatus
from app.observability.private_logs import Quoting

log = logging.getLogger("transactions")

EACH_UP_TO = 10
OUTAGE_OVER_AFTER = 10.0


class TransactionLogger:
    """Counts a second's transactions to choose between a line each and a summary; no customer's data in either."""

    def __init__(self, each: bool):
        """`each`: a line a transaction at any rate (setting LOG_EACH_TRANSACTION)."""
        self._each = each
        self._second = 0
        self._in_second = 0
        self._not_logged = 0
        self._unassessed = 0
        self._unassessed_at = -OUTAGE_OVER_AFTER  # the clock may be that young

    def arrived(self, transaction_id: str) -> None:
        """The bff has acknowledged it."""
        if self._few(1):
            log.info("transaction %s arrived", transaction_id, extra={"transaction_id": transaction_id})
        else:
            self._not_logged += 1

    def decided(self, statuses: Sequence[TransactionStatus]) -> None:
        """The worker has published and stored these."""
        if not statuses:
            return
        if self._few(len(statuses)):
            for status in statuses:
                id_ = status["transaction_id"]
                log.info(
                    "transaction %s %s%s", id_, status["status"], _why(status), extra={"transaction_id": id_}
                )
            return
        counts = Counter(status["status"] for status in statuses)
        log.info(
            "%d transactions: %s",
            len(statuses),
            ", ".join(f"{n} {name}" for name, n in sorted(counts.items())),
        )

    def unassessed(self, count: int) -> None:
        """Antifraud could not be asked about these; one line an outage."""
        now = time.monotonic()
        if now - self._unassessed_at >= OUTAGE_OVER_AFTER:
            log.error(
                "No antifraud replica answers: transactions are rejected with reason antifraud_unavailable "
                "until one does (setting ANTIFRAUD_UNAVAILABLE_POLICY); see `make ps`"
            )
        self._unassessed += count
        self._unassessed_at = now

    def assessed(self) -> None:
        """Antifraud has answered; says what its outage has cost, if there was one."""
        if self._unassessed:
            log.warning(
                "Antifraud answers again: %d transactions were rejected unassessed; `make reassess` asks about them",
                self._unassessed,
            )
            self._unassessed, self._unassessed_at = 0, -OUTAGE_OVER_AFTER

    def _few(self, count: int) -> bool:
        if self._each:
            return True
        second = int(time.monotonic())
        if second != self._second:
            if self._not_logged:
                log.info("%d more transactions arrived", self._not_logged)
            self._second, self._in_second, self._not_logged = second, 0, 0
        self._in_second += count
        return self._in_second <= EACH_UP_TO


def _why(status: TransactionStatus) -> str:
    if status["reason"]:
        return f" ({status['reason']})"
    words = "; ".join(reason["words"] for reason in from_text(status["reasons"]))  # of the customer's habits
    return Quoting(f" ({words})") if words else ""
