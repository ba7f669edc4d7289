"""Redis away in four ways: refused, silent, hung, and back but empty.

GET must go on in each: from Cassandra, saying so, and never with a short list that looks like a whole one.
Refused: Redis is killed. Silent: its connections stay and the bytes get lost, in a TCP relay between the bff
and Redis. Hung: SIGSTOP. Empty: it is killed, comes back, and what it had is gone (FLUSHALL).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from exercises import outcome
from exercises.clients import Clients
from exercises.ledger import LISTED, Get
from exercises.relay import Relay
from exercises.scene import Scene, say
from infra.native import ports
from infra.native.summary import percentile

CONTROL = "the bff reads Redis alone: no Cassandra behind it, no sign of completeness, no refill."
OLD = (
    'GET {"transactions": null} (5 ms refused, 3 s silent, cut after 31 s hung); '
    "what was decided meanwhile is never shown again"
)
#: Seconds a GET may take, and half of them from the first second on: who waits for Redis takes REDIS_TIMEOUT, 0.25 s,
#: and then Cassandra's time. On a machine that is busy with other things a POST is slow too, which has nothing to do
#: with Redis: then twice the slowest, and five times the median, of the POSTs of that time.
MOST, HALF_UNDER = 1.0, 0.2


def run(scene: Scene) -> None:
    """The four cases, one after the other, under load."""
    with Relay(ports.endpoints("redis")[0]) as relay:
        command = "faust -A exercises.controls.redis_alone worker --loglevel info" if scene.control else None
        scene.step("The bff talks to Redis through a relay that can fall silent")
        address = {"REDIS_URL": f"redis://127.0.0.1:{relay.port}/0"}
        scene.acts.replace("bff", settings=address, command=command)
        with scene.clients() as clients:
            scene.watch(scene.seconds(8, 2))
            _until_a_list_is_full(scene, clients)
            _refused(scene, clients)
            _silent(scene, clients, relay)
            _hung(scene, clients)
            _empty(scene, clients)
            outcome.caught_up(scene, clients, "at the end")
        scene.count(clients.ids)
        scene.acts.restore()  # the bff ends before its relay does


def _until_a_list_is_full(scene: Scene, clients: Clients, within: float = 30.0) -> None:
    """Where nothing was stored before: some seconds."""
    ends = scene.now() + within
    while scene.now() < ends and clients.gets[-1].length < LISTED:
        scene.watch(0.2)


def _refused(scene: Scene, clients: Clients) -> None:
    scene.step("Refused: Redis dies")
    died = scene.acts.die("redis")
    with _case(scene, clients, "refused", died):
        scene.watch(scene.seconds(6, 3))
    scene.acts.back("redis")
    _redis_again(scene, clients, "after it was refused")


def _silent(scene: Scene, clients: Clients, relay: Relay) -> None:
    scene.step("Silent: the relay takes connections and bytes and passes nothing on")
    since = scene.now()
    relay.fall_silent()
    scene.acts.client_now()
    with _case(scene, clients, "silent", since):
        scene.watch(scene.seconds(6, 3))
    relay.speak()
    _redis_again(scene, clients, "after it was silent")


def _hung(scene: Scene, clients: Clients) -> None:
    scene.step("Hung: Redis is stopped by SIGSTOP")
    since = scene.acts.hang("redis")
    with _case(scene, clients, "hung", since):
        scene.watch(scene.seconds(6, 3))
    scene.acts.back("redis")
    _redis_again(scene, clients, "after it hung")


def _empty(scene: Scene, clients: Clients) -> None:
    scene.step("Back but empty: Redis dies, comes back, and its data are gone (FLUSHALL)")
    since = scene.acts.die("redis", shown=False)
    scene.acts.back("redis")
    host, port = ports.endpoints("redis")[0]
    Redis(host=host, port=port).flushall()
    scene.acts.client_now()
    _redis_again(scene, clients, "after it was empty")
    _never_short(scene, clients.reads(since), "empty")


@contextmanager
def _case(scene: Scene, clients: Clients, case: str, since: float) -> Iterator[None]:
    """While it lasts, and then what the GETs of that time were like."""
    yield
    gets = clients.reads(since)
    outcome.served(scene, clients, since, f"Redis {case}")
    later = [get.took for get in gets if get.sent > since + 1] or [0.0]
    slowest, half, p99 = max(get.took for get in gets), percentile(later, 50), percentile(later, 99)
    posts = [answer.answered - answer.sent for answer in clients.posts(since)]
    most, half_under = max(MOST, 2 * max(posts)), max(HALF_UNDER, 5 * percentile(posts, 50))
    say(f"  GET: slowest {slowest * 1000:.0f} ms; then p50 {half * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")
    scene.promise(
        f"Redis {case}: nobody waits for it",
        any(get.status == 200 for get in gets) and slowest < most and half < half_under,
        f"slowest GET {slowest * 1000:.0f} ms of {most * 1000:.0f} allowed, "
        f"then p50 {half * 1000:.0f} ms of {half_under * 1000:.0f}",
    )
    _never_short(scene, gets, case)


def _never_short(scene: Scene, gets: list[Get], case: str) -> None:
    lists = [get for get in gets if get.status == 200]
    short = [get for get in lists if get.length < LISTED]
    unsaid = [get for get in lists if get.source == "cassandra" and not get.may_lack]
    scene.promise(
        f"Redis {case}: every list is whole ({LISTED} entries), and says when pending ones may be missing",
        bool(lists) and not short and not unsaid,
        f"{len(short)} short lists of {len(lists)}",
    )


def _redis_again(scene: Scene, clients: Clients, when: str, within: float = 90.0) -> None:
    """GET comes from Redis again, by itself."""
    began = scene.now()
    while scene.now() < began + within:
        scene.watch(0.2)
        if any(get.source == "redis" for get in clients.reads(began)):
            break
    took = scene.now() - began
    scene.promise(f"GET comes from Redis again {when}", took < within, f"{took:.1f} s")
