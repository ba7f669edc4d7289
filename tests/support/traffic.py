"""The generator's customers, as quickly as a few calls at a time go."""

from __future__ import annotations

import asyncio

from exercises.load_client import post_each
from generator.traffic import transactions
from reconciliation.readers import bff_url


def posted(count: int) -> list[str]:
    """POST that many; all must be taken; gives their ids."""
    calls = asyncio.run(post_each(bff_url(), transactions(count)))
    refused = [answer for answer in calls.answers if answer.status != 201]
    assert not refused, refused[:3]
    return calls.ids
