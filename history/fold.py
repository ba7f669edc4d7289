"""History features of simulated transactions: the fold that the worker makes, day by day."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from history.customers import CustomerHistory
from history.merchants import DELAY, MerchantHistory, merchant_days
from history.transactions import DAY, Transactions

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """What will be known of each transaction: whether it is fraud, and the second from which that is known."""

    fraud: Flags
    known_at: Ints


def fold(transactions: Transactions, labels: Labels, keep_from: int = 0, delay: int = DELAY) -> Ints:
    """Return rows x FEATURES of the transactions from row `keep_from` on, each from what was before it.

    The transactions are in order of event_timestamp. Labels count from the day after they were known, days of
    merchants when they are over; windows of labels end `delay` days before.
    """
    customers, merchants = CustomerHistory(), MerchantHistory(delay)
    days = transactions.event_timestamp // DAY
    known_on, frauds = labels.known_at // DAY, np.flatnonzero(labels.fraud)
    frauds = frauds[np.argsort(known_on[frauds], kind="stable")]
    next_label, kept = 0, []
    first, starts = int(days[0]), np.searchsorted(days, np.arange(days[0], days[-1] + 2))
    for day, (start, end) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True), first):
        while next_label < len(frauds) and known_on[frauds[next_label]] < day:
            row = int(frauds[next_label])
            merchant, on = transactions.merchant_ids[row], int(known_on[row])
            merchants.label(merchant, int(days[row]), is_fraud=True, known_on_day=on)
            next_label += 1
        batch = transactions.rows(start, end)
        of_customers = customers.observe(batch)
        if end > keep_from:
            kept.append(np.concatenate([of_customers, merchants.features(batch.merchant_ids, day)], axis=1))
        for one, totals in merchant_days(batch, of_customers).items():
            merchants.add_day(one, totals)
    found = np.concatenate(kept)
    return found[len(found) - (len(transactions) - keep_from) :]
