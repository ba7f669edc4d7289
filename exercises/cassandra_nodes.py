"""One, two, then all three Cassandra nodes die.

Clients go on buying while cassandra-1 is killed, then cassandra-2, then cassandra-3. With one or two dead
everything works. With all three dead transactions are still taken and shown (from Redis), and the worker
holds its place: it stores again once a node is back. Then the log makes the revived nodes whole.
"""

from __future__ import annotations

import re

from exercises import commands, outcome
from exercises.scene import Scene, say

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
CONTROL = "the transactions worker gives a step up after ten more tries, instead of holding its place."
OLD = "registered and read with 1 or 2 of 3 dead; all 3 dead: 24 of 24 and 45 of 45 lost for good"


def run(scene: Scene) -> None:
    """Kill, watch, revive, count."""
    acts = scene.acts
    if scene.control:
        acts.replace("transactions", command="faust -A exercises.controls.gives_up worker --loglevel info")
    with scene.clients() as clients:
        scene.watch(2)
        for count, node in enumerate(NODES, 1):
            scene.step(f"{count} of 3 Cassandra nodes dead: {node} dies")
            when = f"with {count} of 3 nodes dead"
            died = acts.die(node, shown=False)
            post = acts.client_now()
            if count < len(NODES):
                outcome.decided(scene, post, when)
            scene.watch(max(0.0, died + scene.seconds(8, 4) - scene.now()))
            outcome.served(scene, clients, died, when)
        scene.step("All three are started again")
        acts.back(*NODES)
        outcome.caught_up(scene, clients, "with the nodes back")
    scene.count(clients.ids)
    if not scene.control:
        _made_whole(scene, clients.began)


def _made_whole(scene: Scene, began: float) -> None:
    """What the dead nodes missed is written again, at consistency ALL."""
    scene.step("The revived nodes are made whole from the log: make replay")
    code, said = commands.faust("replay", "--into", "cassandra", "--since", commands.seconds_since(began))
    say("".join(f"  {line}\n" for line in said.splitlines()[-2:]).rstrip())
    whole = re.search(r"rows are on all their replicas", said) is not None
    scene.promise("every row is on all three nodes again", code == 0 and whole)
