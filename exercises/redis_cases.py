"""Redis away in four ways: refused, silent, hung, and back but empty.

GET must keep working in each: from Cassandra, saying so, and never with a short list that looks complete.
Refused: Redis is killed. Silent: connections stay open and bytes are dropped, in a TCP relay between the bff
and Redis. Hung: SIGSTOP. Empty: it is killed, comes back, and has lost its data (FLUSHALL).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from exercises import checks
from exercises.calls import LISTED, Get
from exercises.context import Context, say
from exercises.faults import control
from exercises.load_client import LoadClient, in_background
from exercises.relay import Relay
from infra.native import ports
from reconciliation.summary import percentile

CONTROL = "the bff reads Redis alone: no Cassandra behind it, no sign of completeness, no refill."
OLD = (
    'GET {"transactions": null} (5 ms refused, 3 s silent, cut after 31 s hung); '
    "what was decided meanwhile is never shown again"
)
#: Seconds that a GET, and half of all GETs, may take: one that waits takes REDIS_TIMEOUT, 0.25 s,
#: and then Cassandra's time. On a busy machine a POST is slow too, which has nothing to do
#: with Redis: then the limits are twice the slowest POST of that time, and five times the POSTs' median.
MOST, HALF_UNDER = 1.0, 0.2


def run(context: Context) -> None:
    """The four cases, one after the other, under load."""
    relay = Relay(ports.endpoints("redis")[0])
    with in_background(relay.serve):
        command = control("redis_only") if context.control else None
        context.step("The bff talks to Redis through a relay that can fall silent")
        address = {"REDIS_URL": f"redis://127.0.0.1:{relay.port}/0"}
        context.faults.replace("bff", settings=address, command=command)
        with context.clients() as clients:
            context.watch(context.seconds(8, 2))
            context.until(lambda: clients.gets[-1].length == LISTED, 30)  # where nothing was stored before
            _refused(context, clients)
            _silent(context, clients, relay)
            _hung(context, clients)
            _empty(context, clients)
            checks.caught_up(context, clients, "at the end")
        context.count(clients.ids)
        context.faults.restore()  # the bff ends before its relay does


def _refused(context: Context, clients: LoadClient) -> None:
    context.step("Refused: Redis dies")
    died = context.faults.die("redis")
    with _case(context, clients, "refused", died):
        context.watch(context.seconds(6, 3))
    context.faults.back("redis")
    _redis_again(context, clients, "after it was refused")


def _silent(context: Context, clients: LoadClient, relay: Relay) -> None:
    context.step("Silent: the relay takes connections and bytes and passes nothing on")
    since = context.now()
    relay.silent = True
    context.faults.client_now()
    with _case(context, clients, "silent", since):
        context.watch(context.seconds(6, 3))
    relay.silent = False
    _redis_again(context, clients, "after it was silent")


def _hung(context: Context, clients: LoadClient) -> None:
    context.step("Hung: Redis is stopped by SIGSTOP")
    since = context.faults.hang("redis")
    with _case(context, clients, "hung", since):
        context.watch(context.seconds(6, 3))
    context.faults.back("redis")
    _redis_again(context, clients, "after it hung")


def _empty(context: Context, clients: LoadClient) -> None:
    context.step("Back but empty: Redis dies, comes back, and its data are gone (FLUSHALL)")
    since = context.faults.die("redis", shown=False)
    context.faults.back("redis")
    host, port = ports.endpoints("redis")[0]
    Redis(host=host, port=port).flushall()
    context.faults.client_now()
    _redis_again(context, clients, "after it was empty")
    _never_short(context, clients.reads(since), "empty")


@contextmanager
def _case(context: Context, clients: LoadClient, case: str, since: float) -> Iterator[None]:
    """Wait, then judge the GETs of that time."""
    yield
    gets = clients.reads(since)
    checks.served(context, clients, since, f"Redis {case}")
    later = [get.took for get in gets if get.sent > since + 1] or [0.0]
    slowest, half, p99 = max(get.took for get in gets), percentile(later, 50), percentile(later, 99)
    posts = [answer.answered - answer.sent for answer in clients.posts(since)]
    most, half_under = max(MOST, 2 * max(posts)), max(HALF_UNDER, 5 * percentile(posts, 50))
    say(f"  GET: slowest {slowest * 1000:.0f} ms; then p50 {half * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms")
    context.promise(
        f"Redis {case}: nobody waits for it",
        any(get.status == 200 for get in gets) and slowest < most and half < half_under,
        f"slowest GET {slowest * 1000:.0f} ms of {most * 1000:.0f} allowed, "
        f"then p50 {half * 1000:.0f} ms of {half_under * 1000:.0f}",
    )
    _never_short(context, gets, case)


def _never_short(context: Context, gets: list[Get], case: str) -> None:
    lists = [get for get in gets if get.status == 200]
    short = [get for get in lists if get.length < LISTED]
    unsaid = [get for get in lists if get.source == "cassandra" and not get.may_lack]
    context.promise(
        f"Redis {case}: every list is whole ({LISTED} entries), and says when pending ones may be missing",
        bool(lists) and not short and not unsaid,
        f"{len(short)} short lists of {len(lists)}",
    )


def _redis_again(context: Context, clients: LoadClient, when: str) -> None:
    """GET comes from Redis again, by itself."""
    began = context.now()
    held = context.until(lambda: any(get.source == "redis" for get in clients.reads(began)), 90)
    context.promise(f"GET comes from Redis again {when}", held, f"{context.now() - began:.1f} s")
