"""The transactions worker is stopped, and then killed in the middle of its work.

Stopped: transactions are still taken and wait in Kafka; started again, it decides all of them, in order.
Killed in the middle: Cassandra hangs, so what the worker has decided is published and not stored, and then it is
killed by kill -9. Before it comes back the fraud model's threshold is changed in both replicas: a transaction
assessed again would now get another verdict. What was published must not change.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection

from exercises import checks
from exercises.context import Context, say
from exercises.faults import PartLog, control
from exercises.load_client import LoadClient
from reconciliation import readers

WORKER = "transactions"
NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
REPLICAS = ("antifraud-1", "antifraud-2")
CONTROL = "the worker does not read the end of the status topic when it takes a partition over."
OLD = "60 of 60 handled in order; kill -9 in the middle of work: 33 handled twice, 14 verdicts flipped"

Published = dict[str, list[readers.Verdict]]


def run(context: Context) -> None:
    """Stop, start, kill in the middle, start, count."""
    if context.control:
        context.faults.replace(WORKER, command=control("no_recovery"))
    with context.clients() as clients:
        context.watch(2)
        _stopped(context, clients)
        before = _killed_in_the_middle(context, clients)
    context.count(clients.ids)
    _verdicts_stay(context, before)
    _in_order(context, clients.ids)


def _stopped(context: Context, clients: LoadClient) -> None:
    context.step("The worker is stopped")
    since = context.now()
    context.faults.stop(WORKER)
    context.faults.client_now()
    context.watch(context.seconds(5, 2))
    checks.served(context, clients, since, "with the worker stopped")
    context.faults.back(WORKER)
    checks.caught_up(context, clients, "after the stop")


def _killed_in_the_middle(context: Context, clients: LoadClient) -> Published:
    context.step("The worker dies; a backlog grows; Cassandra hangs, so that nothing can be stored")
    context.faults.die(WORKER)
    posted_before = len(clients.ids)
    context.watch(context.seconds(5, 2))
    context.faults.hang(*NODES, shown=False)
    context.step("The worker starts, decides and publishes; in the middle of that it dies again")
    waiting = clients.ids[posted_before:]  # in every partition: the worker may get that far in any of them
    context.faults.begin(WORKER)
    if not context.until(lambda: asyncio.run(readers.published(waiting)), 60):
        raise SystemExit("the worker publishes nothing; see make logs NAME=transactions")
    context.faults.die(WORKER)
    before = asyncio.run(readers.published(clients.ids))
    say(
        f"  published by now: {len(before)} of {len(clients.ids)}; the last ones are neither stored nor committed"
    )
    context.step("Both replicas get another threshold; Cassandra goes on; the worker comes back")
    context.faults.replace(*REPLICAS, settings={"APPROVED_THRESHOLD": "0.99999"})
    context.faults.back(*NODES)
    log = PartLog(WORKER)
    context.faults.back(WORKER)
    checks.caught_up(context, clients, "after the kill")
    again = checks.repeated(log)
    if not context.control:
        context.promise("it died in the middle: published, not committed", again > 0, f"{again} verdicts")
    return before


def _verdicts_stay(context: Context, before: Published) -> None:
    after = asyncio.run(readers.published(before))
    changed = [id_ for id_, verdicts in before.items() if set(after[id_]) != set(verdicts)]
    context.promise(
        "what was published before the kill was published the same after it",
        not changed,
        f"{len(changed)} of {len(before)} verdicts changed",
    )


def _in_order(context: Context, ids: Collection[str]) -> None:
    """Promise that each partition's first verdicts were published in the order of its records."""
    firsts = asyncio.run(_first_published(frozenset(ids)))
    wrong = sum(offsets != sorted(offsets) for offsets in firsts.values())
    context.promise(
        "each partition's transactions were decided in their order",
        not wrong,
        ", ".join(f"partition {number}: {len(offsets)}" for number, offsets in sorted(firsts.items())),
    )


async def _first_published(ids: Collection[str]) -> dict[int, list[int]]:
    """Partition -> the source offsets, in the order in which they were published first."""
    found: dict[int, dict[int, None]] = defaultdict(dict)
    async for record in readers.records("transaction_status", ids):
        found[record["source_partition"]].setdefault(record["source_offset"])
    return {partition: list(offsets) for partition, offsets in found.items()}
