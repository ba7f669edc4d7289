"""What asynchronous Kafka buys, and what it costs.

Kafka dies under load: a POST gets 503 within 2 seconds, never a 201 that is not in the log. Then the same POST
done synchronously (assess, store, answer; exercises/synchronous.py) beside the asynchronous one: how many a
second, how long an answer takes, how long until the verdict is there; the lag of a stopped worker grows and
falls; and Envoy dies for both of them.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from exercises import measuring, outcome
from exercises.scene import Scene, say
from infra.native import places, probes
from infra.native.folders import LOGS, ROOT
from infra.native.ports import Endpoint
from infra.native.summary import percentile

PORT = 5010
SYNCHRONOUS = f"http://127.0.0.1:{PORT}"
#: Seconds a POST may take while Kafka is dead: its bound of 2 s and a busy machine.
MOST = 3.0
CONTROL = "the bff answers 201 without waiting for Kafka's acknowledgement; and it dies before Kafka is back."
OLD = (
    "Kafka down 60 s: 170 of 170 acknowledged with 201 and lost; "
    "normal work 5.6-6.2 a second end to end, 181-210 ms from POST to final status"
)


def run(scene: Scene) -> None:
    """Kafka away; then both ways to do a POST, side by side."""
    if scene.control:
        scene.acts.replace("bff", command="faust -A exercises.controls.says_yes worker --loglevel info")
    ids = _kafka_away(scene)
    if not scene.control and not scene.short:
        with _synchronous():
            ids += _both_measured(scene)
            ids += _envoy_away(scene)
        ids += _lag(scene)
    scene.count(ids)


def _kafka_away(scene: Scene) -> list[str]:
    scene.step("Kafka dies")
    with scene.clients() as clients:
        scene.watch(3)
        died = scene.acts.die("kafka")
        scene.watch(scene.seconds(12, 5))
        dead = clients.posts(died + 1, scene.now() - MOST)
        gets = clients.reads(died)
        if scene.control:
            scene.acts.die("bff", shown=False)  # and with it the records that nobody but it has
        scene.acts.back("kafka")
        if scene.control:
            scene.acts.back("bff")
        back = scene.now()
        scene.watch(6)
        outcome.caught_up(scene, clients, "with Kafka back", since=back)
        after = clients.posts(back + 4)
    outcome.in_the_log_all_the_same(clients)
    slowest = max(answer.answered - answer.sent for answer in dead)
    words = dict(Counter(answer.status for answer in dead))
    scene.promise("while Kafka is dead no POST is answered 201", set(words) == {503}, f"answers {words}")
    scene.promise(f"each within {MOST:g} s", slowest < MOST, f"slowest {slowest:.2f} s")
    scene.promise("GET works meanwhile", all(get.status == 200 for get in gets), f"{len(gets)} GETs")
    taken = sum(answer.status == 201 for answer in after)
    scene.promise("POSTs are taken again once it is back", taken > 0, f"{taken} of {len(after)} after 4 s")
    return clients.ids


@contextmanager
def _synchronous() -> Iterator[None]:
    """The synchronous server, ready."""
    command = [sys.executable, "-m", "exercises.synchronous", str(PORT)]
    with (LOGS / "synchronous.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        while _not_there():
            if process.poll() is not None:
                raise SystemExit(f"the synchronous server did not start; see {LOGS / 'synchronous.log'}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(40)


def _not_there() -> bool:
    try:
        return probes.http(Endpoint("127.0.0.1", PORT), "/") != "HTTP 404"
    except OSError:
        return True


def _both_measured(scene: Scene) -> list[str]:
    scene.step("The same POST, synchronous and asynchronous: 20 a second, then 16 at a time")
    url = places.bff_url()
    slow_sync = asyncio.run(measuring.one_by_one(SYNCHRONOUS, 20, 5))
    slow_async, finals = asyncio.run(measuring.until_final(url, 20, 5))
    fast_sync = asyncio.run(measuring.as_fast_as_answered(SYNCHRONOUS, 4))
    fast_async = asyncio.run(measuring.as_fast_as_answered(url, 4))
    drained = _until_told(scene, fast_async.ids)
    rows = [
        ("20 a second: answer p50, ms", slow_sync.took(50), slow_async.took(50)),
        ("20 a second: answer p99, ms", slow_sync.took(99), slow_async.took(99)),
        ("20 a second: until final p50, ms", slow_sync.took(50), percentile(finals, 50) * 1000),
        ("20 a second: until final p99, ms", slow_sync.took(99), percentile(finals, 99) * 1000),
        ("16 at a time: POSTs a second", fast_sync.rate, fast_async.rate),
        ("16 at a time: answer p50, ms", fast_sync.took(50), fast_async.took(50)),
        ("16 at a time: answer p99, ms", fast_sync.took(99), fast_async.took(99)),
        ("16 at a time: last verdict after last answer, ms", 0.0, drained * 1000),
    ]
    say(f"  {'':<50}{'synchronous':>12}{'asynchronous':>14}")
    for name, sync, async_ in rows:
        say(f"  {name:<50}{sync:>12.0f}{async_:>14.0f}")
    scene.promise(
        "every POST of both was taken",
        all(len(one.ids) == len(one.answers) for one in (slow_sync, slow_async, fast_sync, fast_async)),
    )
    return slow_async.ids + fast_async.ids


def _until_told(scene: Scene, ids: list[str]) -> float:
    """Seconds from now until all of these have a verdict in the log."""
    began = scene.now()
    while len(asyncio.run(places.told(ids))) < len(ids) and scene.now() < began + 60:
        scene.watch(0.05)
    return scene.now() - began


def _envoy_away(scene: Scene) -> list[str]:
    scene.step("Envoy dies: nobody can be assessed, for both")
    died = scene.acts.die("envoy", shown=False)
    sync = asyncio.run(measuring.one_by_one(SYNCHRONOUS, 20, 2))
    async_ = asyncio.run(measuring.one_by_one(places.bff_url(), 20, 2))
    scene.acts.back("envoy")
    say(f"  Envoy was dead for {scene.now() - died:.1f} s")
    say(f"  synchronous:  {len(sync.ids)} of {len(sync.answers)} taken, {sync.answers[-1].error[:70]}")
    say(
        f"  asynchronous: {len(async_.ids)} of {len(async_.answers)} taken; they are assessed when it is back"
    )
    scene.promise("the synchronous POST fails with the part it needs", not sync.ids)
    scene.promise("the asynchronous one takes all", len(async_.ids) == len(async_.answers))
    return async_.ids


def _lag(scene: Scene) -> list[str]:
    scene.step("The worker is stopped for 5 s under 100 POSTs a second: the lag grows, and falls")
    with scene.clients(rate=100) as clients:
        scene.watch(1)
        scene.acts.stop("transactions")
        scene.watch(5)
        scene.acts.back("transactions")
        outcome.caught_up(scene, clients, "with the worker back")
        scene.watch(2)
    most = max(lag for _, lag in clients.lags if lag is not None)
    say(f"  the lag was {most} at most")
    return clients.ids
