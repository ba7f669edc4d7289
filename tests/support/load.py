"""Customers who go on buying while a part is dead: the exercises' POSTs, in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from exercises.calls import RecordedCalls
from exercises.load_client import in_background, post_until
from reconciliation import reconcile


@contextmanager
def customers(rate: float) -> Iterator[RecordedCalls]:
    """POSTs at a rate, whatever the answers are, from its `with` to the end of it."""
    calls = RecordedCalls()
    with in_background(lambda enough: post_until(enough, rate, calls.answers.append)):
        yield calls


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
