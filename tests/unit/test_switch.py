"""All bffs send a customer's transactions to the new partition at once, as good as: none overtakes another."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.messaging.partitioner import partition_of
from app.messaging.switch import HOLD, LOOK_OFTEN, SETTLED, Switch

MOVES, STAYS = (
    next(
        str(n).encode()
        for n in range(100)
        if (partition_of(str(n).encode(), 4) != partition_of(str(n).encode(), 12)) == moves
    )
    for moves in (True, False)
)


def grown() -> Switch:
    one = Switch()
    one.saw(4, 0.0)
    one.saw(12, 100.0)
    return one


def test_a_customer_who_moves_waits_until_the_others_know_it_too_and_no_other_one_does() -> None:
    assert grown().place(MOVES, 100.5) == (partition_of(MOVES, 12), 100.0 + HOLD)
    assert grown().place(STAYS, 100.5) == (partition_of(STAYS, 4), 100.5)
    assert grown().place(MOVES, 100.0 + HOLD) == (partition_of(MOVES, 12), 100.0 + HOLD)


def test_nobody_waits_where_nothing_was_added() -> None:
    one = Switch()
    one.saw(12, 0.0)
    assert one.place(MOVES, 0.0) == (partition_of(MOVES, 12), 0.0)


def test_a_broker_that_still_says_the_old_number_changes_nothing_and_a_topic_made_anew_does() -> None:
    one = grown()
    one.saw(4, 100.1)
    assert one.place(MOVES, 102.0)[0] == partition_of(MOVES, 12)
    one.saw(4, 100.0 + SETTLED)
    assert one.place(MOVES, 120.0)[0] == partition_of(MOVES, 4)


@given(
    looks=st.lists(st.floats(0, LOOK_OFTEN), min_size=2, max_size=5),
    posts=st.lists(st.tuples(st.integers(0, 4), st.floats(0, 3)), max_size=30),
)
def test_whichever_bffs_a_customer_uses_the_new_partition_gets_nothing_before_the_old_one_has_all(
    looks: list[float], posts: list[tuple[int, float]]
) -> None:
    """The partitions are there at 1.0; each bff knows it by its next look."""
    sent: dict[int, list[float]] = {partition_of(MOVES, 4): [], partition_of(MOVES, 12): []}
    for number, at in posts:
        one, learns_at = Switch(), 1.0 + looks[number % len(looks)]
        one.saw(4, 0.0)
        if at >= learns_at:
            one.saw(12, learns_at)
        partition, not_before = one.place(MOVES, at)
        sent[partition].append(max(at, not_before))
    old, new = sent.values()
    assert max(old, default=0.0) < min(new, default=10.0)
