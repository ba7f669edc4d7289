"""Labels that come later: what was taken is reported as fraud once its time has come, one POST after another."""

from __future__ import annotations

import asyncio
import heapq
import logging
import time

import aiohttp

from generator.client import PATH, open_session

MOST_WAITING = 20_000  # labels, some 200 bytes each; beyond that new ones are left out
TRIES = 12  # of one label, some three minutes and a half
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds between them

log = logging.getLogger("generator")


class Labels:
    """What waits to be reported, the next one first."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        self.sent = self.given_up = self.left_out = 0
        self._url, self._timeout = url, timeout
        self._waiting: list[tuple[float, str]] = []  # a heap: when, of time.monotonic(), and which
        self._more, self._closed = asyncio.Event(), False

    def fraud(self, transaction_id: str, after: float) -> None:
        """To be reported in so many seconds."""
        if len(self._waiting) >= MOST_WAITING:
            if not self.left_out:
                log.warning("%d labels wait already; those of further frauds are left out", MOST_WAITING)
            self.left_out += 1
            return
        heapq.heappush(self._waiting, (time.monotonic() + after, transaction_id))
        self._more.set()

    def close(self) -> None:
        """No more will come: `run` ends once the last one is reported."""
        if self._waiting:
            log.info("%d labels are still to come", len(self._waiting))
        self._closed = True
        self._more.set()

    async def run(self) -> None:
        """Report each when it is due."""
        async with open_session(1, self._timeout) as session:
            while transaction_id := await self._next():
                await self._report(session, transaction_id)

    async def _next(self) -> str | None:
        """The first that is due; one that comes meanwhile may be due before it. None: there are no more."""
        while self._waiting or not self._closed:
            self._more.clear()
            wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
            if wait is not None and wait <= 0:
                return heapq.heappop(self._waiting)[1]
            try:
                await asyncio.wait_for(self._more.wait(), wait)
            except TimeoutError:
                continue
        return None

    async def _report(self, session: aiohttp.ClientSession, transaction_id: str) -> None:
        """Until it is taken; what fails is logged once, and given up after TRIES."""
        wait, known = FIRST_WAIT, {"transaction_id": transaction_id}
        for number in range(1, TRIES + 1):
            status, error = await self._post(session, transaction_id)
            if status in (200, 201):
                self.sent += 1
                log.info("labelled %s: fraud", transaction_id, extra=known)
                return
            if 400 <= status < 500:
                break  # it will never be taken
            if number == 1:
                log.warning("no label for %s yet (%s); trying again", transaction_id, error, extra=known)
            if number < TRIES:
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
        self.given_up += 1
        log.error("%s stays without its label: %s", transaction_id, error, extra=known)

    async def _post(self, session: aiohttp.ClientSession, transaction_id: str) -> tuple[int, str]:
        """The status, 0 if no answer came, and what was wrong."""
        try:
            url = f"{self._url}{PATH}/{transaction_id}/label"
            async with session.post(url, json={"label": "fraud"}) as response:
                return response.status, f"{response.status} {(await response.text())[:200]}"
        except (aiohttp.ClientError, OSError, TimeoutError) as failure:
            return 0, f"{type(failure).__name__}: {failure}"
