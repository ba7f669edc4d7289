"""Sends that fail ten times and more; and the webhook beside the topic.

First the worker has verdicts and cannot publish them: both antifraud replicas hang for a moment, so
that transactions are in progress, and then Kafka dies. Every publish really fails; after ten
more tries the worker logs an error, once. When Kafka is back nothing is lost. Then the bff is down
for 5 seconds while statuses are decided: they wait in the topic. The same outage for a webhook: what its tries do
not deliver is pending for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from exercises import brokers, checks, webhook
from exercises.calls import wrapped
from exercises.context import Context, say
from exercises.faults import PartLog, control
from exercises.load_client import LoadClient
from reconciliation import readers

WORKER, REPLICAS = "transactions", ("antifraud-1", "antifraud-2")
#: Ten tries in seconds, not in a minute.
HASTY = {"STATUS_PUBLISH_TIMEOUT": "1", "MAX_RETRY_PAUSE": "0.2"}
ERROR = "publish failed 10 times more"
RATE = 20.0
DOWN_FOR = 5.0, 2.0  # seconds without the bff, and without the receiver; the second in the short form
CONTROL = "the worker gives a send up after ten more tries and goes on with the next."
OLD = "bff stopped for 5 s: 24 of 60 pending for good"


def run(context: Context) -> None:
    """Kafka takes nothing, then the bff is away; then the same with a webhook."""
    command = control("bounded_retries") if context.control else None
    context.faults.replace(WORKER, settings=HASTY, command=command)
    with context.clients() as clients:
        context.watch(2)
        _refused(context, clients)
        checks.caught_up(context, clients, "with Kafka back")
    checks.in_the_log_all_the_same(clients)
    context.count(clients.ids)
    if not context.control:
        _bff_away(context)
        _webhook(context)


def _refused(context: Context, clients: LoadClient) -> None:
    context.step("Both replicas hang for a moment, so that transactions are under way; Kafka dies")
    log = PartLog(WORKER)
    context.faults.hang(*REPLICAS, shown=False)
    context.watch(1)
    waiting = clients.ids[-10:]
    context.faults.die(*brokers.all_brokers())
    context.faults.back(*REPLICAS)
    errors = _until_given_up(context, log)
    shown = asyncio.run(readers.shown(waiting))
    pending = sum(status == "pending" for status in shown.values())
    for line in log.lines("publish failed"):
        say(wrapped(f"its log: {line}"))
    say(f"  of the last ten that were taken {pending} are pending")
    context.step("Kafka comes back")
    context.faults.back(*brokers.all_brokers())
    if not context.control:
        context.promise(
            "after ten tries more it is an error, published once",
            errors == 1,
            f"{errors} line{'s' * (errors != 1)}",
        )
        context.promise("what cannot be published stays pending", pending > 0, f"{pending} of {len(waiting)}")


def _until_given_up(context: Context, log: PartLog) -> int:
    """Wait for the error, and some seconds more for a second one; a worker that gives up says nothing."""
    context.until(lambda: log.lines(ERROR), 10 if context.control else 40)
    context.watch(context.seconds(4, 1))
    return len(log.lines(ERROR))


def _bff_away(context: Context) -> None:
    lasts, down_for = 3.0, context.seconds(*DOWN_FOR)
    context.step(f"What comes in {lasts:.0f} s waits; the bff dies; all of it is decided; the bff comes back")
    context.faults.stop(WORKER)
    with context.clients(RATE) as clients:
        context.watch(lasts)
    ids, died = clients.ids, context.faults.die("bff")
    context.faults.back(WORKER)
    context.until(lambda: len(_published(ids)) == len(ids), 30)
    context.watch(max(0.0, died + down_for - context.now()))
    published = len(_published(ids))
    say(f"  decided while the bff was dead: {published} of {len(ids)}")
    context.faults.back("bff")
    context.until(lambda: not _pending(ids), 20)
    pending = len(_pending(ids))
    say(f"  pending after it is back, by the topic: {pending} of {len(ids)}")
    context.promise("by the topic no status is lost", not pending and published > 0, f"{pending} pending")


def _published(ids: list[str]) -> Collection[str]:
    return asyncio.run(readers.published(ids))


def _pending(ids: list[str]) -> list[str]:
    """Those that are not final in GET."""
    shown = asyncio.run(readers.shown(ids))
    return [id_ for id_ in ids if shown.get(id_) not in checks.FINAL]


def _webhook(context: Context) -> None:
    statuses, down_for = int(context.seconds(60, 24)), context.seconds(*DOWN_FOR)
    context.step(f"{statuses} statuses by webhook, to a receiver that is down for {down_for:g} s")
    found = asyncio.run(webhook.all_senders(statuses, down_for))
    for sender, (lost, slowest) in found.items():
        say(f"  {sender:<42} {lost:3d} pending for good, longest delivery {slowest:4.1f} s")
    few, at_once, patient = (delivered.pending for delivered in found.values())
    context.promise(
        "the webhook loses what one try, and ten at once, do not deliver", few > 0 and at_once > 0
    )
    context.promise(f"ten tries with growing pauses outlast {down_for:g} s: those behind wait", patient == 0)
