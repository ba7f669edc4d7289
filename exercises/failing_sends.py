"""Sends that fail ten times and more; and the webhook beside the topic.

First the topic transaction_status takes nothing (every record is too old for it), so each try to tell a status
really fails. After ten tries more the worker's log says so, once, as an error; the transactions wait, and when
the topic takes records again nothing is lost. Then the bff is away for 5 seconds while statuses are decided:
they wait in the topic. The same outage for a webhook: what its tries do not deliver is pending for good.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from exercises import outcome, webhook
from exercises.clients import Clients
from exercises.logs import Log
from exercises.scene import Scene, say
from exercises.topic_settings import REFUSES_ALL, set_settings, settings
from infra.native import places

TOPIC, WORKER = "transaction_status", "transactions"
#: Ten tries in seconds, not in a minute.
HASTY = {"RETRY_MOST": "0.2"}
ERROR = "tell failed 10 times more"
STATUSES, DOWN_FOR = 60, 5.0
CONTROL = "the worker gives a send up after ten more tries and goes on with the next."
OLD = "bff stopped for 5 s: 24 of 60 pending for good"


def run(scene: Scene) -> None:
    """The topic refuses, then the bff is away; then the same with a webhook."""
    command = "faust -A exercises.controls.gives_up worker --loglevel info" if scene.control else None
    scene.acts.replace(WORKER, settings=HASTY, command=command)
    with scene.clients() as clients:
        scene.watch(2)
        _refused(scene, clients)
        outcome.caught_up(scene, clients)
    scene.count(clients.ids)
    if not scene.control:
        _bff_away(scene)
        _webhook(scene)


def _refused(scene: Scene, clients: Clients) -> None:
    scene.step(f"Topic {TOPIC} takes nothing: {REFUSES_ALL}")
    log, since = Log(WORKER), scene.now()
    with _takes_nothing():
        scene.acts.client_now()
        scene.watch(scene.seconds(12, 8))
        outcome.served(scene, clients, since, "while no status can be told")
        errors = log.lines(ERROR)
        for line in log.lines("tell failed"):
            say(f"  its log: {line[:160]}")
        status = asyncio.run(places.shown([scene.acts.taken[-1]])).get(scene.acts.taken[-1])
        say(f"  the transaction posted meanwhile is {status}")
    scene.step("The topic takes records again")
    if not scene.control:
        scene.promise(
            "after ten tries more it is an error, told once", len(errors) == 1, f"{len(errors)} lines"
        )
        scene.promise("what cannot be told stays pending, and is no 201 taken back", status == "pending")


@contextmanager
def _takes_nothing() -> Iterator[None]:
    found = asyncio.run(settings(TOPIC))
    usual = {name: value for name, value in found.items() if name not in REFUSES_ALL}
    asyncio.run(set_settings(TOPIC, usual | REFUSES_ALL))
    try:
        yield
    finally:
        asyncio.run(set_settings(TOPIC, usual))


def _bff_away(scene: Scene) -> None:
    scene.step(
        f"{STATUSES} transactions wait; the bff dies; they are decided; it is back after {DOWN_FOR:g} s"
    )
    scene.acts.stop(WORKER)
    with scene.clients(rate=20) as clients:
        scene.watch(STATUSES / 20)
    died = scene.acts.die("bff")
    scene.acts.back(WORKER)
    while scene.now() < died + DOWN_FOR:
        scene.watch(0.1)
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
    scene.step(f"{STATUSES} statuses by webhook, to a receiver that is down for {DOWN_FOR:g} s")
    found = asyncio.run(webhook.all_senders(STATUSES, DOWN_FOR))
    for sender, (lost, slowest) in found.items():
        say(f"  {sender:<42} {lost:3d} pending for good, longest delivery {slowest:4.1f} s")
    few, at_once, patient = (delivered.pending for delivered in found.values())
    scene.promise("the webhook loses what one try, and ten at once, do not deliver", few > 0 and at_once > 0)
    scene.promise("ten tries with growing pauses outlast 5 s: those behind wait", patient == 0)
