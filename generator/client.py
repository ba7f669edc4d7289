"""Sends at a constant rate, whatever the answers are, and passes each answer to a callback."""

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import aiohttp

from generator.traffic import Transaction

PATH = "/api/v1/transactions"
FIRST_WAIT, LONGEST_WAIT = 0.25, 2.0  # seconds between attempts while nobody answers

log = logging.getLogger("generator")


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of one POST. Times are time.monotonic(); status 0 means that no answer came."""

    transaction_id: str | None
    status: int
    due: float  # when it was due: a later start is our own delay, and a fair latency includes it
    sent: float
    answered: float
    error: str = ""

    @property
    def unserved(self) -> bool:
        """No answer, or a server error: the outcome is not known."""
        return self.status == 0 or self.status >= 500


class Outage:
    """While the bff is down: call less and less often; log its start and its end once each."""

    def __init__(self) -> None:
        self.failed = 0
        self.since = 0.0
        self._wait = FIRST_WAIT

    @property
    def on(self) -> bool:
        """Whether the last call went unserved."""
        return self.failed > 0

    def note(self, answer: Answer) -> None:
        """Begin, continue or end, depending on an answer."""
        if answer.unserved:
            if not self.on:
                self.since = answer.sent
                log.warning("bff does not serve (%s); asking again until it does", answer.error)
            self.failed += 1
        elif self.on and answer.sent >= self.since:  # a late answer to an older call says nothing new
            lasted = answer.answered - self.since
            log.warning("bff is back after %.1f s; %d transactions failed", lasted, self.failed)
            self.failed, self._wait = 0, FIRST_WAIT

    def next_wait(self) -> float:
        """Seconds until the next attempt; jitter keeps many clients from coming back all at once."""
        wait = self._wait * random.uniform(0.5, 1)
        self._wait = min(self._wait * 2, LONGEST_WAIT)
        return wait


async def post(
    session: aiohttp.ClientSession, url: str, body: Transaction, due: float | None = None
) -> Answer:
    """POST one transaction, once: without an Idempotency-Key a second try could be a second purchase."""
    sent = time.monotonic()
    status, transaction_id, error = 0, None, ""
    try:
        async with session.post(url + PATH, json=body) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            status = response.status
            transaction_id = answer["transaction_id"] if status == 201 else None
            error = "" if status == 201 else f"{status} {answer.get('error', '')}".strip()
    except TimeoutError:
        error = f"no answer within {session.timeout.total} s"
    except (aiohttp.ClientError, OSError, ValueError, LookupError, TypeError, AttributeError) as failure:
        # a body outside the contract acknowledges nothing, whatever its status
        status, error = (status if status >= 400 else 0), f"{type(failure).__name__}: {failure}"
    return Answer(transaction_id, status, due or sent, sent, time.monotonic(), error)


def open_session(concurrency: int, timeout: float) -> aiohttp.ClientSession:
    """Connections for `concurrency` concurrent calls, each with a timeout in seconds and the token, if there is one."""
    connector, within = aiohttp.TCPConnector(limit=concurrency), aiohttp.ClientTimeout(total=timeout)
    token = os.environ.get("BFF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else None
    return aiohttp.ClientSession(connector=connector, timeout=within, headers=headers)


async def send(
    bodies: Iterable[Transaction],
    on_answer: Callable[[Answer], None],
    *,
    url: str | Callable[[], str],
    rate: float,
    concurrency: int = 64,
    timeout: float = 5.0,
    back_off: bool = True,
    on_taken: Callable[[Transaction, str], None] | None = None,
) -> None:
    """POST the bodies in order, `rate` per second, never more than `concurrency` at a time.

    Open loop: a slow answer delays no other transaction until `concurrency` wait. With `back_off`, one
    at a time is tried during an outage, and the rate starts afresh afterwards. Cancel it to stop:
    calls in flight are still awaited and reported. `url` may be a function: a URL for each call. `on_taken` gets
    each body that was answered 201, with its id.
    """
    outage, slots, flying = Outage(), asyncio.Semaphore(concurrency), set[asyncio.Task[None]]()

    async def one(body: Transaction, due: float) -> None:
        try:
            answer = await post(session, url() if callable(url) else url, body, due)
        finally:
            slots.release()
        if back_off:
            outage.note(answer)
        on_answer(answer)
        if on_taken and answer.transaction_id:
            on_taken(body, answer.transaction_id)

    async with open_session(concurrency, timeout) as session:
        try:
            due = time.monotonic()
            for body in bodies:
                await asyncio.sleep(outage.next_wait() if outage.on else due - time.monotonic())
                await slots.acquire()
                task = asyncio.create_task(one(body, time.monotonic() if outage.on else due))
                flying.add(task)
                task.add_done_callback(flying.discard)
                due += 1 / rate
                if outage.on:
                    await asyncio.wait([task])
                    due = time.monotonic()
        finally:
            await asyncio.gather(*flying)
