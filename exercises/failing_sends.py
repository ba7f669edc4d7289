"""Sends that fail ten times and more; and the webhook beside the topic.

First the worker has verdicts in its hands and nobody takes them: both antifraud replicas hang for a moment, so
that transactions are under way, and then Kafka dies. Each try to tell their statuses really fails; after ten
tries more the worker's log says so, once, as an error. When Kafka is back nothing is lost. Then the bff is away
for 5 seconds while statuses are decided: they wait in the topic. The same outage for a webhook: what its tries do
not deliver is pending for good.
"""

from __future__ import annotations

import asyncio

from exercises import outcome, webhook
from exercises.clients import Clients
from exercises.logs import Log
from exercises.scene import Scene, say
from exercises.wrapping import wrapped
from infra.native import places

WORKER, REPLICAS = "transactions", ("antifraud-1", "antifraud-2")
#: Ten tries in seconds, not in a minute.
HASTY = {"TELL_TIMEOUT": "1", "RETRY_MOST": "0.2"}
ERROR = "tell failed 10 times more"
RATE = 20.0
DOWN_FOR = 5.0, 2.0  # seconds of the bff, and of the receiver; the second in the short form
CONTROL = "the worker gives a send up after ten more tries and goes on with the next."
OLD = "bff stopped for 5 s: 24 of 60 pending for good"


def run(scene: Scene) -> None:
    """Kafka takes nothing, then the bff is away; then the same with a webhook."""
    command = "faust -A exercises.controls.gives_up worker --loglevel info" if scene.control else None
    scene.acts.replace(WORKER, settings=HASTY, command=command)
    with scene.clients() as clients:
        scene.watch(2)
        _refused(scene, clients)
        outcome.caught_up(scene, clients, "with Kafka back")
    outcome.in_the_log_all_the_same(clients)
    scene.count(clients.ids)
    if not scene.control:
        _bff_away(scene)
        _webhook(scene)


def _refused(scene: Scene, clients: Clients) -> None:
    scene.step("Both replicas hang for a moment, so that transactions are under way; Kafka dies")
    log = Log(WORKER)
    scene.acts.hang(*REPLICAS, shown=False)
    scene.watch(1)
    waiting = clients.ids[-10:]
    scene.acts.die("kafka")
    scene.acts.back(*REPLICAS)
    errors = _until_given_up(scene, log)
    shown = asyncio.run(places.shown(waiting))
    pending = sum(status == "pending" for status in shown.values())
    for line in log.lines("tell failed"):
        say(wrapped(f"its log: {line}"))
    say(f"  of the last ten that were taken {pending} are pending")
    scene.step("Kafka comes back")
    scene.acts.back("kafka")
    if not scene.control:
        scene.promise(
            "after ten tries more it is an error, told once",
            errors == 1,
            f"{errors} line{'s' * (errors != 1)}",
        )
        scene.promise("what cannot be told stays pending", pending > 0, f"{pending} of {len(waiting)}")


def _until_given_up(scene: Scene, log: Log, within: float = 40.0) -> int:
    """Wait for the error, and some seconds more for a second one; a worker that gives up says nothing."""
    ends = scene.now() + (10 if scene.control else within)
    while scene.now() < ends and not log.lines(ERROR):
        scene.watch(0.2)
    scene.watch(scene.seconds(4, 1))
    return len(log.lines(ERROR))


def _bff_away(scene: Scene) -> None:
    lasts, down_for = 3.0, scene.seconds(*DOWN_FOR)
    scene.step(f"What comes in {lasts:.0f} s waits; the bff dies; all of it is decided; the bff comes back")
    scene.acts.stop(WORKER)
    with scene.clients(RATE) as clients:
        scene.watch(lasts)
    died = scene.acts.die("bff")
    scene.acts.back(WORKER)
    told = asyncio.run(places.told(clients.ids))
    while scene.now() < died + down_for or (len(told) < len(clients.ids) and scene.now() < died + 30):
        scene.watch(0.2)
        told = asyncio.run(places.told(clients.ids))
    say(f"  decided while the bff was dead: {len(told)} of {len(clients.ids)}")
    scene.acts.back("bff")
    pending = _pending(scene, clients.ids)
    say(f"  pending after it is back, by the topic: {pending} of {len(clients.ids)}")
    scene.promise("by the topic no status is lost", not pending and len(told) > 0, f"{pending} pending")


def _pending(scene: Scene, ids: list[str], within: float = 20.0) -> int:
    """How many are not final in GET, at the latest after so many seconds."""
    ends = scene.now() + within
    while True:
        shown = asyncio.run(places.shown(ids))
        pending = sum(shown.get(id_) not in outcome.FINAL for id_ in ids)
        if not pending or scene.now() > ends:
            return pending
        scene.watch(0.2)


def _webhook(scene: Scene) -> None:
    statuses, down_for = int(scene.seconds(60, 24)), scene.seconds(*DOWN_FOR)
    scene.step(f"{statuses} statuses by webhook, to a receiver that is down for {down_for:g} s")
    found = asyncio.run(webhook.all_senders(statuses, down_for))
    for sender, (lost, slowest) in found.items():
        say(f"  {sender:<42} {lost:3d} pending for good, longest delivery {slowest:4.1f} s")
    few, at_once, patient = (delivered.pending for delivered in found.values())
    scene.promise("the webhook loses what one try, and ten at once, do not deliver", few > 0 and at_once > 0)
    scene.promise(f"ten tries with growing pauses outlast {down_for:g} s: those behind wait", patient == 0)
