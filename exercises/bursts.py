"""Customers who buy in bursts: each transaction's features depend on those just before it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from random import Random

from generator.traffic import Transaction, transaction

CUSTOMERS, BURST = 40, 8  # how many take turns; transactions of one in a row


def bursts(customers: int = CUSTOMERS, burst: int = BURST) -> Iterator[Transaction]:
    """The contract's traffic of new customers, one burst after the other, without end."""
    random = Random()
    ids = [str(uuid.uuid4()) for _ in range(customers)]
    while True:
        for customer_id in ids:
            for _ in range(burst):
                yield {**transaction(random), "customer_id": customer_id}
