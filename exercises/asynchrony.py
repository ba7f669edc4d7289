"""What asynchronous Kafka buys, and what it costs.

Kafka dies under load: a POST gets 503 within 2 seconds, never a 201 that is not in the log. Then the same POST
done synchronously (assess, store, answer; exercises/synchronous.py) beside the asynchronous one: how many per
second, how long an answer takes, how long until the verdict is there; the lag of a stopped worker grows and
falls; and Envoy dies for both of them.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from exercises import brokers, checks
from exercises.calls import RecordedCalls, wrapped
from exercises.context import Context, say
from exercises.faults import control
from exercises.load_client import for_seconds, post_each
from generator.client import Answer, send
from generator.traffic import transactions
from infra.native import ports, probes
from infra.native.paths import LOGS, ROOT
from infra.native.ports import Endpoint
from reconciliation import demo, readers
from reconciliation.summary import percentile

#: Seconds that a POST may take while Kafka is dead: its limit of 2 s and a busy machine.
MOST = 3.0
CONTROL = "the bff answers 201 without waiting for Kafka's acknowledgement; and it dies before Kafka is back."
OLD = (
    "Kafka down 60 s: 170 of 170 acknowledged with 201 and lost; "
    "normal work 5.6-6.2 a second end to end, 181-210 ms from POST to final status"
)
PORT = 5010
SYNCHRONOUS = f"http://127.0.0.1:{PORT}"
SLOWLY = 20.0  # a second
#: Seconds for which the worker asks before it gives a verdict without antifraud (app/settings.py).
PATIENCE = float(ports.setting("ANTIFRAUD_RETRY_TIMEOUT", "5"))
UNAVAILABLE = "antifraud_unavailable"


def run(context: Context) -> None:
    """Kafka dead; then both ways to do a POST, side by side."""
    if context.control:
        context.faults.replace("bff", command=control("fire_and_forget"))
    ids = _kafka_away(context)
    if len(brokers.all_brokers()) > 1 and not context.control:
        ids += brokers.run(context)
    if not context.control and not context.short:
        with _synchronous_server(context):
            ids += _both_measured(context)
            ids += _envoy_away(context)
        ids += _lag(context)
    context.count(ids)


def _kafka_away(context: Context) -> list[str]:
    context.step("Kafka dies")
    with context.clients() as clients:
        context.watch(3)
        died = context.faults.die(*brokers.all_brokers())
        context.watch(context.seconds(12, 5))
        dead = clients.posts(died + 1, context.now() - MOST)
        gets = clients.reads(died)
        if context.control:
            context.faults.die("bff", shown=False)  # and with it the records that only it has
        context.faults.back(*brokers.all_brokers())
        if context.control:
            context.faults.back("bff")
        back = context.now()
        context.watch(6)
        checks.caught_up(context, clients, "with Kafka back", since=back)
        after = clients.posts(back + 4)
    checks.in_the_log_all_the_same(clients)
    slowest = max(answer.answered - answer.sent for answer in dead)
    words = dict(Counter(answer.status for answer in dead))
    context.promise("while Kafka is dead no POST is answered 201", set(words) == {503}, f"answers {words}")
    context.promise(f"each within {MOST:g} s", slowest < MOST, f"slowest {slowest:.2f} s")
    context.promise("GET works meanwhile", all(get.status == 200 for get in gets), f"{len(gets)} GETs")
    taken = sum(answer.status == 201 for answer in after)
    context.promise("POSTs are taken again once it is back", taken > 0, f"{taken} of {len(after)} after 4 s")
    return clients.ids


@contextmanager
def _synchronous_server(context: Context) -> Iterator[None]:
    """Running and ready."""
    command, log = [sys.executable, "-m", "exercises.synchronous", str(PORT)], LOGS / "synchronous.log"
    with log.open("w") as out, subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out) as process:
        try:
            context.until(lambda: _is_there() or process.poll() is not None, 60)
            if not _is_there():
                raise SystemExit(f"the synchronous server did not start; see {log}")
            yield
        finally:
            process.terminate()


def _is_there() -> bool:
    try:
        return probes.http(Endpoint("127.0.0.1", PORT), "/") == "HTTP 404"
    except OSError:
        return False


def _both_measured(context: Context) -> list[str]:
    """The same client calls both in the same way, one after the other; both store the row."""
    context.step("The same POST, synchronous and asynchronous: 20 a second, then 16 at a time")
    slow_sync = asyncio.run(post_each(SYNCHRONOUS, transactions(100), SLOWLY))
    slow_async, finals = asyncio.run(_until_final(readers.bff_url()))
    fast_sync, cpu_sync = _at_full_load(SYNCHRONOUS)
    fast_async, cpu_async = _at_full_load(readers.bff_url())
    drained = _until_published(context, fast_async.ids)
    say(f"  {'':<50}{'synchronous':>12}{'asynchronous':>14}")
    for name, sync, async_ in (
        ("20 a second: answer p50, ms", _took(slow_sync, 50), _took(slow_async, 50)),
        ("20 a second: answer p99, ms", _took(slow_sync, 99), _took(slow_async, 99)),
        ("20 a second: until final p50, ms", _took(slow_sync, 50), percentile(finals, 50) * 1000),
        ("20 a second: until final p99, ms", _took(slow_sync, 99), percentile(finals, 99) * 1000),
        ("16 at a time: POSTs a second", _rate(fast_sync), _rate(fast_async)),
        ("16 at a time: answer p50, ms", _took(fast_sync, 50), _took(fast_async, 50)),
        ("16 at a time: answer p99, ms", _took(fast_sync, 99), _took(fast_async, 99)),
        ("16 at a time: last verdict after last answer, ms", 0.0, drained * 1000),
        ("16 at a time: CPU of the machine per POST, ms", cpu_sync, cpu_async),
    ):
        say(f"  {name:<50}{sync:>12.0f}{async_:>14.0f}")
    every = (slow_sync, slow_async, fast_sync, fast_async)
    context.promise("every POST of both was taken", all(len(one.ids) == len(one.answers) for one in every))
    return slow_async.ids + fast_async.ids


async def _until_final(url: str) -> tuple[RecordedCalls, list[float]]:
    """And the seconds from each POST to the GET that first shows its verdict."""
    calls, waiting = RecordedCalls(), deque[Answer]()

    def on_answer(answer: Answer) -> None:
        calls.answers.append(answer)
        if answer.transaction_id:
            waiting.append(answer)

    sending = asyncio.create_task(send(transactions(100), on_answer, url=url, rate=SLOWLY, back_off=False))
    return calls, [took async for took in demo.followed(waiting, sending)]


def _at_full_load(url: str) -> tuple[RecordedCalls, float]:
    """And the milliseconds of a core that a POST cost, whichever process spent them."""
    psutil.cpu_percent()  # the next call measures from here
    began = time.monotonic()
    calls = asyncio.run(post_each(url, for_seconds(4)))
    cores = psutil.cpu_percent() / 100 * (os.cpu_count() or 1)
    return calls, cores * (time.monotonic() - began) / len(calls.answers) * 1000


def _took(calls: RecordedCalls, percent: float) -> float:
    """Milliseconds of an answer."""
    return percentile([answer.answered - answer.sent for answer in calls.answers], percent) * 1000


def _rate(calls: RecordedCalls) -> float:
    """Taken a second."""
    ended = max(answer.answered for answer in calls.answers)
    return len(calls.ids) / (ended - min(answer.sent for answer in calls.answers))


def _until_published(context: Context, ids: list[str]) -> float:
    """Seconds from now until all of these have a verdict in the log."""
    began = context.now()
    while len(asyncio.run(readers.published(ids))) < len(ids) and context.now() < began + 60:
        context.watch(0.05)
    return context.now() - began


def _envoy_away(context: Context) -> list[str]:
    context.step("Envoy dies: nobody can be assessed, for both")
    died = context.faults.die("envoy", shown=False)
    sync = asyncio.run(post_each(SYNCHRONOUS, transactions(40), SLOWLY))
    first = context.now()
    async_ = asyncio.run(post_each(readers.bff_url(), transactions(40), SLOWLY))
    context.faults.back("envoy")
    waited = context.now() - first
    say(
        f"  Envoy was dead for {context.now() - died:.1f} s, {waited:.1f} s of them after the first asynchronous POST"
    )
    _until_published(context, async_.ids)
    published = asyncio.run(readers.published(async_.ids))
    without = sum(verdicts[0].score is None for verdicts in published.values())
    say(wrapped(f"synchronous: {len(sync.ids)} of {len(sync.answers)} taken; {sync.answers[-1].error}"))
    say(
        f"  asynchronous: {len(async_.ids)} of {len(async_.answers)} taken; {len(published) - without} assessed once it"
        f" was back, {without} rejected without it ({UNAVAILABLE})"
    )
    context.promise("the synchronous POST fails with the part it needs", not sync.ids)
    context.promise("the asynchronous one takes all", len(async_.ids) == len(async_.answers))
    context.promise(
        f"and all have their verdict afterwards, an assessed one if Envoy is back within {PATIENCE:g} s",
        as_the_setting_allows(len(async_.ids), len(published), without, waited),
        f"{len(published)} verdicts, {without} without an assessment, after {waited:.1f} s",
    )
    return async_.ids


def as_the_setting_allows(taken: int, published: int, without: int, waited: float) -> bool:
    """All are published; and assessed, unless they waited longer than the worker is patient (less a second for Envoy's
    start: its last try comes before that)."""
    return published == taken and (not without or waited > PATIENCE - 1)


def _lag(context: Context) -> list[str]:
    context.step("The worker is stopped for 5 s under 100 POSTs a second: the lag grows, and falls")
    with context.clients(rate=100) as clients:
        context.watch(1)
        context.faults.stop("transactions")
        context.watch(5)
        context.faults.back("transactions")
        checks.caught_up(context, clients, "with the worker back")
        context.watch(2)
    most = max(lag for _, lag in clients.lags if lag is not None)
    say(f"  the lag was {most} at most")
    return clients.ids
