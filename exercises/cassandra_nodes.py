"""One, two, then all three Cassandra nodes die.

Clients keep buying while cassandra-1 is killed, then cassandra-2, then cassandra-3. With one or two dead
everything works. With all three dead transactions are still taken and shown (from Redis), and the worker
holds its position: it stores again once a node is back. Then the log repairs the revived nodes.
"""

from __future__ import annotations

import math

from exercises import checks
from exercises.context import Context, faust, say
from exercises.faults import control

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")
CONTROL = "the transactions worker gives a step up after ten more tries, instead of holding its place."
OLD = "registered and read with 1 or 2 of 3 dead; all 3 dead: 24 of 24 and 45 of 45 lost for good"


def run(context: Context) -> None:
    """Kill, watch, revive, count."""
    faults = context.faults
    if context.control:
        faults.replace("transactions", command=control("bounded_retries"))
    with context.clients() as clients:
        context.watch(2)
        for count, node in enumerate(NODES, 1):
            context.step(f"{count} of 3 Cassandra nodes dead: {node} dies")
            when = f"with {count} of 3 nodes dead"
            died = faults.die(node, shown=False)
            post = faults.client_now()
            if count < len(NODES):
                checks.decided(context, post, when)
            context.watch(max(0.0, died + context.seconds(8, 4) - context.now()))
            checks.served(context, clients, died, when)
        context.step("All three are started again")
        faults.back(*NODES)
        checks.caught_up(context, clients, "with the nodes back")
    context.count(clients.ids)
    if not context.control:
        _made_whole(context, clients.began)


def _made_whole(context: Context, began: float) -> None:
    """Rewrite what the dead nodes missed, at consistency ALL."""
    context.step("The revived nodes are made whole from the log: make replay")
    seconds = math.ceil(context.now() - began) + 1
    code, said = faust("replay", "--into", "cassandra", "--since", str(seconds))
    say("".join(f"  {line}\n" for line in said.splitlines()[-2:]).rstrip())
    whole = "rows are on all their replicas" in said
    context.promise("every row is on all three nodes again", code == 0 and whole)
