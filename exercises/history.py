"""A worker that knows each customer's history is killed in the middle of bursts, and its features are not wrong.

Customers buy in bursts of eight, so what is known of a customer changes with each transaction. The worker, which
keeps all of that in its memory, is killed by kill -9 under this load: in the middle of bursts; while Cassandra hangs,
when verdicts are in the log and their offsets are not committed; and as one of two, when the other takes its
partitions. At the end every feature on record is computed again from the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from exercises import checks
from exercises.bursts import bursts
from exercises.context import AGREE, DIFFER, FAULTS_SHOWN, Context, said_in_json, say
from exercises.faults import PartLog, control
from exercises.load_client import LoadClient
from reconciliation import readers

WORKER, SECOND = "transactions", "transactions-2"
NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
RATE = 40.0
CONTROL = "the worker begins with an empty history, as one whose state is in its memory alone."
OLD = "knew no history: the model saw four fields of one transaction"


def run(context: Context) -> None:
    """Kill it three times, each time otherwise; compute every feature again."""
    if context.control:
        context.faults.replace(WORKER, command=control("empty_history"))
    with context.clients(RATE, bursts()) as clients:
        context.watch(context.seconds(5, 3))
        _killed_in_bursts(context, clients)
        _killed_before_the_commit(context, clients)
        _another_takes_over(context, clients)
    context.count(clients.ids)
    _features_are_those_of_the_log(context, clients.ids)


def _killed_in_bursts(context: Context, clients: LoadClient) -> None:
    context.step("The worker dies in the middle of bursts, and comes back")
    context.faults.die(WORKER)
    context.watch(context.seconds(3, 1))
    log = PartLog(WORKER)
    context.faults.back(WORKER)
    checks.caught_up(context, clients, "after the kill in bursts")
    _show_what_it_knew(log)


def _killed_before_the_commit(context: Context, clients: LoadClient) -> None:
    context.step(
        "Cassandra hangs: verdicts get into the log, their offsets are not committed; the worker dies"
    )
    since = len(clients.ids)
    context.faults.hang(*NODES, shown=False)
    published: Collection[str] = ()

    def some_are() -> bool:
        nonlocal published
        published = asyncio.run(readers.published(clients.ids[since:]))
        return len(published) > 0

    if not context.until(some_are, 60):
        raise SystemExit("the worker publishes nothing; see make logs NAME=transactions")
    context.faults.die(WORKER)
    say(
        f"  of those taken since Cassandra hangs {len(published)} were decided and in the log; none is committed"
    )
    context.faults.back(*NODES)
    log = PartLog(WORKER)
    context.faults.back(WORKER)
    checks.caught_up(context, clients, "after the kill before the commit")
    again = checks.repeated(log)
    context.promise("it died in the middle: published, not committed", again > 0, f"{again} verdicts")
    _show_what_it_knew(log)


def _another_takes_over(context: Context, clients: LoadClient) -> None:
    context.step("Two workers share the partitions; one dies, the other takes its partitions")
    context.faults.scale("transactions", 2)
    if context.control:
        context.faults.replace(SECOND, command=control("empty_history"))
    context.watch(context.seconds(4, 2))
    log = PartLog(SECOND)
    context.faults.die(WORKER)
    checks.caught_up(context, clients, "with the other worker alone")
    _show_what_it_knew(log)
    context.faults.back(WORKER)
    checks.caught_up(context, clients, "with both at work again")


def _show_what_it_knew(log: PartLog) -> None:
    for line in log.lines("the histories of")[-4:]:
        say(f"  its log: Partition{line.rpartition('Partition')[2].rstrip()}")


def _features_are_those_of_the_log(context: Context, ids: Collection[str]) -> None:
    context.step("Every feature on record is computed again, from the log alone")
    say("  faust -A app.main verify --features")
    said, wanted = said_in_json("verify", "--features", agree=(AGREE, DIFFER)), frozenset(ids)
    ours = [finding for finding in said["findings"] if finding["transaction_id"] in wanted]
    counts = ", ".join(f"{name} {count}" for name, count in said["counts"].items())
    say(f"  of everything in the log: {counts}; {len(ours)} of the different ones are of this exercise")
    for one in ours[:FAULTS_SHOWN]:
        known = ", ".join(f"{name} {on} not {right}" for name, (on, right) in [*one["features"].items()][:3])
        say(f"  ! {one['transaction_id']}: {known}, …")
    context.promise(
        "every verdict's features are those of the log before it",
        not ours and said["counts"]["same"] >= len(wanted),
        f"{len(ours)} of {len(wanted)} verdicts have wrong ones",
    )
