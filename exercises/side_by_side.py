"""The second part of exercise 5: the same POST, synchronous and asynchronous, side by side.

Both are asked by the same client with the same number of POSTs at a time, one after the other, and both store the
row. Beyond that the asynchronous one publishes the verdict and keeps Redis, on the same cores: who used them is shown.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

from benchmarks import cpu
from exercises import http_load
from exercises.context import Context, say
from exercises.http_load import Posted
from exercises.wrapping import wrapped
from infra.native import ports, probes
from infra.native.paths import LOGS, ROOT
from infra.native.ports import Endpoint
from reconciliation import readers
from reconciliation.summary import percentile

PORT = 5010
SYNCHRONOUS = f"http://127.0.0.1:{PORT}"
#: Seconds for which the worker asks before it gives a verdict without antifraud (app/settings.py).
PATIENCE = float(ports.setting("ANTIFRAUD_RETRY_TIMEOUT", "5"))
UNAVAILABLE = "antifraud_unavailable"
#: Row of the table -> the processes whose CPU it adds up.
USERS = {
    "who answers: the synchronous server, the bff": ("synchronous", "bff"),
    "the transactions worker": ("transactions",),
    "antifraud and Envoy": ("antifraud-1", "antifraud-2", "envoy"),
    "Cassandra": cpu.CASSANDRA,
    "Kafka and Redis": ("kafka", "redis"),
    "the client that asks": (cpu.OURSELVES,),
    "everything else on the machine": ("registry", cpu.OTHERS),
}


class Full(NamedTuple):
    """POSTs as fast as they are answered, and the cores that each process used meanwhile."""

    posted: Posted
    cores: Mapping[str, float]


def run(context: Context) -> list[str]:
    """The two ways measured, then Envoy dies for both; the ids that the asynchronous one took."""
    with _synchronous() as pid:
        return _both_measured(context, pid) + _envoy_away(context)


@contextmanager
def _synchronous() -> Iterator[int]:
    """The synchronous server, ready; its pid."""
    command = [sys.executable, "-m", "exercises.synchronous", str(PORT)]
    with (LOGS / "synchronous.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        while _not_there():
            if process.poll() is not None:
                raise SystemExit(f"the synchronous server did not start; see {LOGS / 'synchronous.log'}")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait(40)


def _not_there() -> bool:
    try:
        return probes.http(Endpoint("127.0.0.1", PORT), "/") != "HTTP 404"
    except OSError:
        return True


def _both_measured(context: Context, pid: int) -> list[str]:
    context.step("The same POST, synchronous and asynchronous: 20 a second, then 16 at a time")
    url = readers.bff_url()
    slow_sync = asyncio.run(http_load.one_by_one(SYNCHRONOUS, 20, 5))
    slow_async, finals = asyncio.run(http_load.until_final(url, 20, 5))
    full_sync = _full(SYNCHRONOUS, pid)
    full_async = _full(url, pid)
    drained = _until_published(context, full_async.posted.ids)
    fast_sync, fast_async = full_sync.posted, full_async.posted
    say(f"  {'':<50}{'synchronous':>12}{'asynchronous':>14}")
    for name, sync, async_ in (
        ("20 a second: answer p50, ms", slow_sync.took(50), slow_async.took(50)),
        ("20 a second: answer p99, ms", slow_sync.took(99), slow_async.took(99)),
        ("20 a second: until final p50, ms", slow_sync.took(50), percentile(finals, 50) * 1000),
        ("20 a second: until final p99, ms", slow_sync.took(99), percentile(finals, 99) * 1000),
        ("16 at a time: POSTs a second", fast_sync.rate, fast_async.rate),
        ("16 at a time: answer p50, ms", fast_sync.took(50), fast_async.took(50)),
        ("16 at a time: answer p99, ms", fast_sync.took(99), fast_async.took(99)),
        ("16 at a time: last verdict after last answer, ms", 0.0, drained * 1000),
    ):
        say(f"  {name:<50}{sync:>12.0f}{async_:>14.0f}")
    _cores_shown(full_sync.cores, full_async.cores)
    every = (slow_sync, slow_async, fast_sync, fast_async)
    context.promise("every POST of both was taken", all(len(one.ids) == len(one.answers) for one in every))
    return slow_async.ids + fast_async.ids


def _full(url: str, pid: int) -> Full:
    before, began = cpu.used({"synchronous": pid}), time.monotonic()
    posted = asyncio.run(http_load.as_fast_as_answered(url, 4))
    spent, lasted = cpu.between(before, cpu.used({"synchronous": pid})), time.monotonic() - began
    return Full(posted, {name: seconds / lasted for name, seconds in spent.items()})


def _cores_shown(sync: Mapping[str, float], async_: Mapping[str, float]) -> None:
    """Which of them kept the cores busy in the two runs of 16 at a time."""
    say(f"  cores in use with 16 at a time, of {os.cpu_count()}:")
    for row, names in USERS.items():
        here, there = (sum(run.get(name, 0.0) for name in names) for run in (sync, async_))
        say(f"    {row:<48}{here:>12.2f}{there:>14.2f}")
    say(f"    {'all of it':<48}{sum(sync.values()):>12.2f}{sum(async_.values()):>14.2f}")


def _until_published(context: Context, ids: list[str]) -> float:
    """Seconds from now until all of these have a verdict in the log."""
    began = context.now()
    while len(asyncio.run(readers.published(ids))) < len(ids) and context.now() < began + 60:
        context.watch(0.05)
    return context.now() - began


def _envoy_away(context: Context) -> list[str]:
    context.step("Envoy dies: nobody can be assessed, for both")
    died = context.faults.die("envoy", shown=False)
    sync = asyncio.run(http_load.one_by_one(SYNCHRONOUS, 20, 2))
    first = context.now()
    async_ = asyncio.run(http_load.one_by_one(readers.bff_url(), 20, 2))
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
