"""The transactions worker is stopped, and then killed in the middle of its work.

Stopped: transactions go on being taken and wait in Kafka; started again, it decides all of them, in order.
Killed in the middle: Cassandra hangs, so what the worker has decided is told and not stored, and then it is
killed by kill -9. Before it comes back the fraud model's threshold is changed in both replicas: whatever was
asked again would now get another verdict. What was told must stay as it was told.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Collection

from exercises import outcome
from exercises.clients import Clients
from exercises.logs import Log
from exercises.scene import Scene, say
from infra.native import places

WORKER = "transactions"
NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
REPLICAS = ("antifraud-1", "antifraud-2")
CONTROL = "the worker does not read the end of the status topic when it takes a partition over."
OLD = "60 of 60 handled in order; kill -9 in the middle of work: 33 handled twice, 14 verdicts flipped"

Told = dict[str, list[places.Verdict]]


def run(scene: Scene) -> None:
    """Stop, start, kill in the middle, start, count."""
    if scene.control:
        scene.acts.replace(WORKER, command="faust -A exercises.controls.forgets worker --loglevel info")
    with scene.clients() as clients:
        scene.watch(2)
        _stopped(scene, clients)
        before = _killed_in_the_middle(scene, clients)
    scene.count(clients.ids)
    _verdicts_stay(scene, before)
    _in_order(scene, clients.ids)


def _stopped(scene: Scene, clients: Clients) -> None:
    scene.step("The worker is stopped")
    since = scene.now()
    scene.acts.stop(WORKER)
    scene.acts.client_now()
    scene.watch(scene.seconds(5, 2))
    outcome.served(scene, clients, since, "with the worker stopped")
    scene.acts.back(WORKER)
    outcome.caught_up(scene, clients, "after the stop")


def _killed_in_the_middle(scene: Scene, clients: Clients) -> Told:
    scene.step("The worker dies; a backlog grows; Cassandra hangs, so that nothing can be stored")
    scene.acts.die(WORKER)
    posted_before = len(clients.ids)
    scene.watch(scene.seconds(5, 2))
    scene.acts.hang(*NODES, shown=False)
    scene.step("The worker starts, decides and tells; in the middle of that it dies again")
    waiting = clients.ids[posted_before:]  # of every partition: the worker may come as far as one of them
    scene.acts.begin(WORKER)
    _until_told(scene, waiting)
    scene.acts.die(WORKER)
    before = asyncio.run(places.told(clients.ids))
    say(f"  told by now: {len(before)} of {len(clients.ids)}; the last ones are neither stored nor committed")
    scene.step("Both replicas get another threshold; Cassandra goes on; the worker comes back")
    scene.acts.replace(*REPLICAS, settings={"APPROVED_THRESHOLD": "0.99999"})
    scene.acts.back(*NODES)
    log = Log(WORKER)
    scene.acts.back(WORKER)
    outcome.caught_up(scene, clients, "after the kill")
    again = sum(map(int, re.findall(r"(\d+) verdicts of partition \d+ are in the log already", log.text())))
    say(f"  its log: {again} verdicts were in the log already: not asked again")
    if not scene.control:
        scene.promise("it died in the middle: told, not committed", again > 0, f"{again} verdicts")
    return before


def _until_told(scene: Scene, ids: Collection[str], within: float = 60.0) -> None:
    """Wait until some of these are told."""
    ends = scene.now() + within
    while not asyncio.run(places.told(ids)):
        if scene.now() > ends:
            raise SystemExit("the worker tells nothing; see make logs NAME=transactions")
        scene.watch(0.2)


def _verdicts_stay(scene: Scene, before: Told) -> None:
    after = asyncio.run(places.told(before))
    changed = [id_ for id_, verdicts in before.items() if set(after[id_]) != set(verdicts)]
    scene.promise(
        "what was told before the kill was told no other way after it",
        not changed,
        f"{len(changed)} of {len(before)} verdicts changed",
    )


def _in_order(scene: Scene, ids: Collection[str]) -> None:
    """The first verdict of each record, in the order of the records of its partition."""
    firsts = asyncio.run(_first_told(frozenset(ids)))
    wrong = sum(offsets != sorted(offsets) for offsets in firsts.values())
    scene.promise(
        "each partition's transactions were decided in their order",
        not wrong,
        ", ".join(f"partition {number}: {len(offsets)}" for number, offsets in sorted(firsts.items())),
    )


async def _first_told(ids: Collection[str]) -> dict[int, list[int]]:
    """Partition -> the source offsets, in the order in which they were told first."""
    found: dict[int, dict[int, None]] = defaultdict(dict)
    async for record in places.records("transaction_status", ids):
        found[record["source_partition"]].setdefault(record["source_offset"])
    return {partition: list(offsets) for partition, offsets in found.items()}
