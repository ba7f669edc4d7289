"""What several exercises promise, judged in the same way."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

from exercises.clients import Clients
from exercises.scene import Scene, say
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


def decided(scene: Scene, since: float, id_: str, when: str, within: float = 30.0) -> None:
    """A transaction of that time has its final status while the part is still dead."""
    status = None
    while status not in FINAL and time.monotonic() < since + within:
        status = asyncio.run(places.shown([id_])).get(id_)
        time.sleep(0.1)
    waited = time.monotonic() - since
    say(f"  {waited:.0f} s after the kill, the transaction posted just after it is {status}")
    scene.promise(f"{when}: transactions are decided", status in FINAL, f"{status} after {waited:.0f} s")


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
