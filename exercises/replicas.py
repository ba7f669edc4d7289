"""One antifraud replica dies, then both.

With one dead the other assesses everything and nobody is rejected falsely. With both dead a transaction is
rejected after 5 seconds of trying, with its reason on record. Then `reassess` puts those right, and every
verdict is compared with what the model says of the same fields when a replica is asked directly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from exercises import commands, model, outcome
from exercises.clients import Clients
from exercises.scene import Scene, say
from infra.native import places

REPLICAS = ("antifraud-1", "antifraud-2")
UNAVAILABLE = "antifraud_unavailable"
CONTROL = "Envoy neither retries nor checks health, and the worker does not try again."
OLD = "one of two dead: 53 of 100 rejected, 50 of them never assessed; both dead: all rejected"


def run(scene: Scene) -> None:
    """Kill one, then both; count; put right; compare with the model."""
    if scene.control:
        scene.acts.replace("envoy", command="python -m exercises.controls.bare_envoy")
        scene.acts.replace("transactions", settings={"ASSESS_PATIENCE": "0.01"})
    with scene.clients() as clients:
        scene.watch(2)
        _one_dead(scene, clients)
        _both_dead(scene, clients)
        outcome.caught_up(scene, clients, "with both replicas back")
    scene.count(clients.ids)
    if not scene.control:
        _put_right(scene, clients.ids)
        _as_the_model_says(scene, clients.ids)


def _one_dead(scene: Scene, clients: Clients) -> None:
    scene.step("One replica dies")
    died = scene.acts.die("antifraud-1")
    scene.watch(scene.seconds(8, 4))
    alone = scene.now()
    outcome.served(scene, clients, died, "with one replica dead")
    scene.acts.back("antifraud-1")
    ids = [a.transaction_id for a in clients.posts(died, alone) if a.transaction_id]
    falsely = _unassessed(ids)
    say(f"  posted while it was dead: {len(ids)}, of them rejected without an assessment: {len(falsely)}")
    scene.promise(
        "with one replica dead nobody is rejected without an assessment",
        bool(ids) and not falsely,
        f"{len(falsely)} of {len(ids)}",
    )


def _both_dead(scene: Scene, clients: Clients) -> None:
    scene.step("Both replicas die")
    died = scene.acts.die(*REPLICAS)
    scene.watch(scene.seconds(10, 7))
    outcome.served(scene, clients, died, "with both replicas dead")
    scene.acts.back(*REPLICAS)


def _unassessed(ids: Collection[str]) -> list[str]:
    """Those whose newest verdict is a rejection for want of an assessment."""
    told = asyncio.run(places.told(ids))
    return [id_ for id_, verdicts in told.items() if verdicts[-1].reason == UNAVAILABLE]


def _put_right(scene: Scene, ids: Collection[str]) -> None:
    scene.step("What nobody could assess is put right: make reassess")
    before = _unassessed(ids)
    say(f"  rejected with reason {UNAVAILABLE}: {len(before)}")
    code, said = commands.faust("reassess")
    say(f"  {said.strip().splitlines()[-1]}")
    after = _unassessed(ids)
    scene.promise(
        "reassess gives each of those a verdict of the model",
        code == 0 and bool(before) and not after,
        f"{len(before)} before, {len(after)} after",
    )


def _as_the_model_says(scene: Scene, ids: Collection[str]) -> None:
    scene.step("Every verdict beside the answer of each replica, asked directly for the same fields")
    asked, told = asyncio.run(_fields_and_verdicts(ids))
    for replica in REPLICAS:
        said = model.answers(replica, asked)
        differing = [id_ for id_, verdicts in told.items() if verdicts[-1].status != said[id_]]
        say(f"  {replica}: {len(said)} asked, {len(differing)} differ")
        scene.promise(
            f"every verdict is {replica}'s own answer",
            len(told) == len(said) and not differing,
            f"{len(differing)} of {len(said)} differ",
        )


async def _fields_and_verdicts(
    ids: Collection[str],
) -> tuple[dict[str, model.Fields], dict[str, list[places.Verdict]]]:
    return await model.asked_for(ids), await places.told(ids)
