"""A client that probes once per second: one POST, the newest page, and some transactions by id."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from generator.client import open_session, post
from generator.traffic import transactions
from reconciliation import readers

LIMIT = 100
TIMEOUT = 5.0


async def newest(passed_over: int = 0) -> list[Any]:
    """The newest page, after skipping the newest `passed_over` entries, which came later."""
    async with open_session(concurrency=1, timeout=TIMEOUT) as session:
        _, page = await _get(session, f"?limit={LIMIT + passed_over}")
    return list(page.get("transactions", []))[passed_over:]


async def _get(session: aiohttp.ClientSession, rest: str) -> tuple[int, dict[str, Any]]:
    """Status and content; status 0 means that no answer came."""
    try:
        async with session.get(readers.bff_url() + readers.PATH + rest) as response:
            return response.status, json.loads(await response.read())
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return 0, {}


class ClientProbe:
    """Probes from `start` to `stop`. `lies`: when a list was short, or an id not found, without saying why."""

    def __init__(self, sample: Sequence[str], say: Callable[[str], None]):
        """`sample`: ids that exist."""
        self.posted: list[str] = []
        self.refused = 0
        self.lies: list[float] = []
        self._sample, self._say = sample, say
        self._enough = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._look()), daemon=True)

    def start(self) -> None:
        """Begin to probe."""
        self._thread.start()

    def stop(self) -> None:
        """Stop after one more probe."""
        self._enough.set()
        self._thread.join(4 * TIMEOUT)

    async def _look(self) -> None:
        began, second = time.monotonic(), 0
        async with open_session(concurrency=4, timeout=TIMEOUT) as session:
            for body in transactions(10_000):
                if self._enough.is_set():
                    return
                answer = await post(session, readers.bff_url(), body)
                self.refused += answer.status != 201
                self.posted += [answer.transaction_id] if answer.transaction_id else []
                status, page = await _get(session, f"?limit={LIMIT}")
                found = Counter([(await _get(session, f"/{id_}"))[0] for id_ in self._sample])
                self._note(status, page, found)
                self._say(f"{second:4d} s  POST {answer.status}   {line(status, page, found)}")
                second += 1
                await asyncio.sleep(began + second - time.monotonic())

    def _note(self, status: int, page: dict[str, Any], found: Counter[int]) -> None:
        short = status == 200 and len(page["transactions"]) < LIMIT and not page.get("being_rebuilt")
        if short or found[404]:
            self.lies.append(time.monotonic())


def line(status: int, page: dict[str, Any], found: Counter[int]) -> str:
    """What one probe has seen."""
    listed = (
        f"{len(page.get('transactions', [])):>3} listed from {page.get('source')}" if status == 200 else ""
    )
    says = ", being rebuilt" if page.get("being_rebuilt") else ""
    others = "".join(f", {count} x {code}" for code, count in sorted(found.items()) if code != 200)
    return f"GET {status} {listed}{says:<15}   by id {found[200]:>2} of {found.total()}{others}"
