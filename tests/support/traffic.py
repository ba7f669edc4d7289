"""The generator's customers, by its own client."""

from __future__ import annotations

import asyncio

from generator.client import Answer, send
from generator.traffic import transactions
from reconciliation.readers import bff_url


def posted(count: int, concurrency: int = 16) -> list[str]:
    """POST that many as quickly as `concurrency` calls at a time go; all must be taken; gives their ids."""
    answers: list[Answer] = []
    asyncio.run(
        send(
            transactions(count),
            answers.append,
            url=bff_url(),
            rate=100_000,
            concurrency=concurrency,
            timeout=20,
            back_off=False,
        )
    )
    refused = [answer for answer in answers if answer.status != 201]
    assert not refused, refused[:3]
    return [answer.transaction_id or "" for answer in answers]
