"""Kafka's brokers die one after another, where there are three: the case that exercise 5 has with `make up KAFKA=3`."""

from __future__ import annotations

from collections import Counter

from exercises import checks
from exercises.context import Context
from infra.native import brokers
from reconciliation.summary import percentile

#: Seconds until a POST is answered while another broker takes over what a dead one led.
MOST = 2.0
#: Seconds after a death in which POSTs that wait for it may still be answered either way.
UNDECIDED = 2.0


def all_brokers() -> list[str]:
    """The brokers' names: all of them dead is Kafka dead."""
    return brokers.names(brokers.count())


def run(context: Context) -> list[str]:
    """One of three dead: nobody notices. Two dead: nothing is taken. Both back: nothing is lost."""
    first, second, *_ = all_brokers()
    context.step("One broker of three dies")
    with context.clients() as clients:
        context.watch(3)
        one_dead = context.faults.die(first)
        context.watch(context.seconds(12, 6))
        context.step("A second one dies")
        two_dead = context.faults.die(second)
        context.watch(context.seconds(10, 5))
        context.step("Both come back")
        back = context.now()
        context.faults.back(first, second)
        context.watch(3)
        checks.caught_up(context, clients, "with three brokers", since=back)
        after = clients.posts(context.now() - 2)
    checks.served(context, clients, one_dead, "with one broker dead", two_dead)
    slow = percentile([post.answered - post.sent for post in clients.posts(one_dead, two_dead)], 99)
    context.promise(f"with one broker dead: p99 of POST under {MOST:g} s", slow < MOST, f"{slow:.2f} s")
    words = dict(Counter(post.status for post in clients.posts(two_dead + UNDECIDED, back - UNDECIDED)))
    context.promise("with two brokers dead no POST is answered 201", set(words) == {503}, f"answers {words}")
    taken = sum(post.status == 201 for post in after)
    context.promise("POSTs are taken again once they are back", taken > 0, f"{taken} of {len(after)}")
    checks.in_the_log_all_the_same(clients)
    return clients.ids
