"""What asynchronous Kafka buys, and what it costs.

Kafka dies under load: a POST gets 503 within 2 seconds, never a 201 that is not in the log. Then the same POST
done synchronously (assess, store, answer; exercises/synchronous.py) beside the asynchronous one: how many per
second, how long an answer takes, how long until the verdict is there; the lag of a stopped worker grows and
falls; and Envoy dies for both of them.
"""

from __future__ import annotations

from collections import Counter

from exercises import checks, side_by_side
from exercises.context import Context, say

#: Seconds that a POST may take while Kafka is dead: its limit of 2 s and a busy machine.
MOST = 3.0
CONTROL = "the bff answers 201 without waiting for Kafka's acknowledgement; and it dies before Kafka is back."
OLD = (
    "Kafka down 60 s: 170 of 170 acknowledged with 201 and lost; "
    "normal work 5.6-6.2 a second end to end, 181-210 ms from POST to final status"
)


def run(context: Context) -> None:
    """Kafka dead; then both ways to do a POST, side by side."""
    if context.control:
        context.faults.replace(
            "bff", command="faust -A exercises.controls.fire_and_forget worker --loglevel info"
        )
    ids = _kafka_away(context)
    if not context.control and not context.short:
        ids += side_by_side.run(context)
        ids += _lag(context)
    context.count(ids)


def _kafka_away(context: Context) -> list[str]:
    context.step("Kafka dies")
    with context.clients() as clients:
        context.watch(3)
        died = context.faults.die("kafka")
        context.watch(context.seconds(12, 5))
        dead = clients.posts(died + 1, context.now() - MOST)
        gets = clients.reads(died)
        if context.control:
            context.faults.die("bff", shown=False)  # and with it the records that only it has
        context.faults.back("kafka")
        if context.control:
            context.faults.back("bff")
        back = context.now()
        context.watch(6)
        checks.caught_up(context, clients, "with Kafka back", since=back)
        after = clients.posts(back + 4)
    checks.in_the_log_all_the_same(clients)
    slowest = max(answer.answered - answer.sent for answer in dead)
    words = dict(Counter(answer.status for answer in dead))
    context.promise("while Kafka is dead no POST is answered 201", set(words) == {503}, f"answers {words}")
    context.promise(f"each within {MOST:g} s", slowest < MOST, f"slowest {slowest:.2f} s")
    context.promise("GET works meanwhile", all(get.status == 200 for get in gets), f"{len(gets)} GETs")
    taken = sum(answer.status == 201 for answer in after)
    context.promise("POSTs are taken again once it is back", taken > 0, f"{taken} of {len(after)} after 4 s")
    return clients.ids


def _lag(context: Context) -> list[str]:
    context.step("The worker is stopped for 5 s under 100 POSTs a second: the lag grows, and falls")
    with context.clients(rate=100) as clients:
        context.watch(1)
        context.faults.stop("transactions")
        context.watch(5)
        context.faults.back("transactions")
        checks.caught_up(context, clients, "with the worker back")
        context.watch(2)
    most = max(lag for _, lag in clients.lags if lag is not None)
    say(f"  the lag was {most} at most")
    return clients.ids
