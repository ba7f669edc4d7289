"""POSTs measured: their answers, and how long it takes until each transaction is final."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.client import Answer, send
from generator.traffic import Transaction, transactions
from reconciliation import demo
from reconciliation.summary import percentile

AT_A_TIME = 16


@dataclass(frozen=True)
class Posted:
    """What a run of POSTs came to."""

    answers: Sequence[Answer]
    seconds: float

    @property
    def ids(self) -> list[str]:
        """Those that were taken."""
        return [answer.transaction_id for answer in self.answers if answer.transaction_id]

    @property
    def rate(self) -> float:
        """Taken a second."""
        return len(self.ids) / self.seconds

    def took(self, percent: float) -> float:
        """Milliseconds of an answer."""
        return percentile([a.answered - a.sent for a in self.answers], percent) * 1000


async def one_by_one(url: str, rate: float, seconds: float) -> Posted:
    """At a rate that leaves the machine idle in between."""
    return await _posted(url, transactions(int(rate * seconds)), rate)


async def as_fast_as_answered(url: str, seconds: float) -> Posted:
    """So many at a time, each followed by the next."""
    return await _posted(url, _for(seconds), 1e6)


async def until_final(url: str, rate: float, seconds: float) -> tuple[Posted, list[float]]:
    """At a rate; and for each the seconds from its POST to the GET that first shows its verdict."""
    answers: list[Answer] = []
    waiting: deque[Answer] = deque()

    def published(answer: Answer) -> None:
        answers.append(answer)
        if answer.transaction_id:
            waiting.append(answer)

    began = time.monotonic()
    bodies = transactions(int(rate * seconds))
    sending = asyncio.create_task(send(bodies, published, url=url, rate=rate, back_off=False))
    finals = [took async for took in demo.followed(waiting, sending)]
    return Posted(answers, time.monotonic() - began), finals


async def _posted(url: str, bodies: Iterator[Transaction], rate: float) -> Posted:
    answers: list[Answer] = []
    began = time.monotonic()
    await send(bodies, answers.append, url=url, rate=rate, concurrency=AT_A_TIME, timeout=10, back_off=False)
    return Posted(answers, time.monotonic() - began)


def _for(seconds: float) -> Iterator[Transaction]:
    ends = time.monotonic() + seconds
    for body in transactions():
        if time.monotonic() > ends:
            return
        yield body
