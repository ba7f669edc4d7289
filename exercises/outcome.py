"""What several exercises promise, judged in the same way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import aiohttp

from exercises.clients import Clients
from exercises.scene import Scene, say
from generator.client import PATH, Answer, open_session
from infra.native import places

FINAL = ("accepted", "rejected")


def served(scene: Scene, clients: Clients, since: float, when: str, until: float | None = None) -> None:
    """Every POST sent in that time was answered 201, every GET 200."""
    posts, gets = clients.posts(since, until), clients.reads(since, until)
    refused = Counter(answer.error for answer in posts if answer.status != 201)
    failed = Counter(get.status for get in gets if get.status != 200)
    scene.promise(
        f"{when}: every POST 201, every GET 200",
        bool(posts and gets) and not refused and not failed,
        f"{len(posts)} POSTs, {refused.total()} not taken; {len(gets)} GETs, {failed.total()} failed",
    )


def decided(scene: Scene, post: Answer, when: str, within: float = 30.0) -> None:
    """A transaction of that time gets its verdict while the part is still dead, so long after its POST."""
    wall = time.time() - time.monotonic()  # decided_at is told by the wall's clock
    entry: dict[str, Any] = {}
    while not (final := entry.get("status") in FINAL) and time.monotonic() < post.sent + within:
        time.sleep(0.1)
        entry = asyncio.run(_entry(str(post.transaction_id)))
    said = f"no verdict within {within:.0f} s"
    if final:
        took = entry["decided_at"] / 1000 - wall - post.sent
        said = f"{entry['status']}, decided {took * 1000:.0f} ms after its POST"
    say(f"  that transaction: {said}")
    scene.promise(f"{when}: transactions are decided", final, said)


async def _entry(id_: str) -> dict[str, Any]:
    """GET of one id; empty for any other answer, or none."""
    try:
        async with open_session(1, 5) as session, session.get(f"{places.bff_url()}{PATH}/{id_}") as response:
            return dict(await response.json()) if response.status == 200 else {}
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return {}


def caught_up(scene: Scene, clients: Clients, within: float = 60.0) -> None:
    """Nothing waits any more, as Kafka tells it."""
    began, told = time.monotonic(), None
    while time.monotonic() < began + within:
        at, told = clients.lags[-1]
        if at > began and told is not None and told <= 10:
            break
        time.sleep(0.2)
    took = time.monotonic() - began
    say(f"  {'caught up' if took < within else 'NOT caught up'} after {took:.1f} s: lag {told}")
