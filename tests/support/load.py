"""Customers who go on buying while a part is dead: the generator's client in a thread of its own."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from generator.client import Answer, send
from generator.traffic import Transaction, transaction
from reconciliation import reconcile
from reconciliation.readers import bff_url


class Load:
    """POSTs at a rate, whatever the answers are, from its `with` to the end of it."""

    def __init__(self, rate: float = 30.0) -> None:
        self.answers: list[Answer] = []
        self._rate = rate
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()

    @property
    def ids(self) -> list[str]:
        """Those that were answered 201 so far."""
        return [answer.transaction_id for answer in list(self.answers) if answer.transaction_id]

    def _run(self) -> None:
        sending = send(
            self._bodies(),
            self.answers.append,
            url=bff_url(),
            rate=self._rate,
            concurrency=512,
            timeout=10,
            back_off=False,
        )
        asyncio.run(sending)

    def _bodies(self) -> Iterator[Transaction]:
        rng = random.Random(time.monotonic_ns())
        while not self._enough.is_set():
            yield transaction(rng)


def nothing_lost(ids: list[str], within: float = 60.0) -> None:
    """Each of these is created once, published, stored, listed and shown, with one final status everywhere."""
    assert ids, "nothing was taken: nothing was tested"
    deadline = time.monotonic() + within
    while True:
        try:
            taken = asyncio.run(reconcile.reconcile_until_settled(ids, max(1.0, deadline - time.monotonic())))
        except reconcile.UnreadableError:  # a part that came back a moment ago may be too slow for a read
            if time.monotonic() > deadline:
                raise
        else:
            break
    print(f"{taken.sent} taken: {dict(taken.statuses)}, {taken.published_again} published again")  # noqa: T201
    assert taken.faults() == []
