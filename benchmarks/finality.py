"""When GET shows a transaction's final status: watched from outside, by few GETs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from benchmarks.lean_http import Client
from generator.client import PATH

FINAL = ("accepted", "rejected")
ASKERS = 8  # GETs that may be on their way at a time

Published = Callable[[], None]


def nobody() -> None:
    """Whom it is not told to."""


@dataclass(slots=True)
class Followed:
    """One that is waited for; `asked`: when the last GET left that did not show it final (first: its POST's answer)."""

    transaction_id: str
    due: float
    asked: float
    published: Published


@dataclass(slots=True)
class Seen:
    """Seconds, an entry a transaction: from due to final in GET; at most so much of it is the watcher's lateness."""

    took: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    gets: int = 0


class Watch:
    """Asks for each that is followed, in turn, until it is final; a GET every `every` seconds at most.

    So its cost is bounded, and each is seen late by at most `every` times as many as are followed at that time, and
    what the GET takes. What that comes to is measured: `Seen.late`.
    """

    def __init__(self, client: Client, every: float):
        self._client = client
        self._every = every
        self._next = 0.0
        self._open: asyncio.Queue[Followed] = asyncio.Queue()
        self._left = 0
        self._none = asyncio.Event()
        self._none.set()
        self.seen = Seen()

    def follow(self, transaction_id: str, due: float, published: Published = nobody) -> None:
        """From its 201 on; `published` is called when it is final. Its time begins at `due` (time.perf_counter)."""
        self._left += 1
        self._none.clear()
        self._open.put_nowait(Followed(transaction_id, due, time.perf_counter(), published))

    async def all_final(self, within: float) -> int:
        """Wait until none is followed; how many still are after `within` seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), within)
        return self._left

    async def ask(self) -> None:
        """Ask until cancelled; several may, so that a slow answer holds up no other."""
        while True:
            one = await self._open.get()
            # Nobody asks again at once what has just been answered.
            self._next = max(self._next, one.asked) + self._every
            await asyncio.sleep(max(0.0, self._next - time.perf_counter()))
            asked = time.perf_counter()
            self._next = max(self._next, asked)
            answer = await self._client.get(f"{PATH}/{one.transaction_id}")
            self.seen.gets += 1
            if answer.status == 200 and json.loads(answer.body)["status"] in FINAL:
                self._is_final(one)
            else:
                one.asked = asked
                self._open.put_nowait(one)

    def _is_final(self, one: Followed) -> None:
        now = time.perf_counter()
        self.seen.took.append(now - one.due)
        self.seen.late.append(now - one.asked)
        self._left -= 1
        if not self._left:
            self._none.set()
        one.published()


@asynccontextmanager
async def watching(client: Client, every: float) -> AsyncIterator[Watch]:
    """A watch at work, for a while."""
    watch = Watch(client, every)
    async with asyncio.TaskGroup() as tasks:
        asking = [tasks.create_task(watch.ask()) for _ in range(ASKERS)]
        yield watch
        for task in asking:
            task.cancel()
