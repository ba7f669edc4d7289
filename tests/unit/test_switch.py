"""All bffs send a customer's transactions to the new partition at once, as good as: none overtakes another."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
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


def test_a_bff_that_starts_where_some_were_ever_added_lets_all_wait_for_they_may_have_been_added_just_now() -> (
    None
):
    one = Switch()
    one.looked(12, 100.0, 100.0, is_near=False, has_grown=True)
    for key in (MOVES, STAYS):
        assert one.place(key, 100.5) == (partition_of(key, 12), 100.0 + HOLD)
        assert one.place(key, 100.0 + HOLD) == (partition_of(key, 12), 100.0 + HOLD)
    never = Switch()
    never.looked(12, 100.0, 100.0, is_near=False, has_grown=False)
    assert never.place(MOVES, 100.0) == (partition_of(MOVES, 12), 100.0)


def test_a_bff_that_cannot_ask_is_sure_until_others_may_have_switched_and_for_good_where_none_are_added() -> (
    None
):
    one = Switch()
    one.wait_for_a_look()
    assert not one.is_sure(0.0)
    one.looked(4, 1.0, 1.3, is_near=True, has_grown=True)
    assert one.is_sure(0.9 + HOLD)
    assert not one.is_sure(1.0 + HOLD)
    one.looked(12, 3.0, 3.0, is_near=False, has_grown=True)
    assert one.is_sure(1e9)


@dataclass
class Bff:
    """It looks at these moments; from 1.0 on Kafka says 12 partitions, and all the time that they come."""

    looks: list[float]

    def sends(self, at: float) -> tuple[int, float] | None:
        """To where, and when, what a client posts at this moment; None: it is refused."""
        one = Switch()
        one.wait_for_a_look()
        for look in self.looks:
            if look <= at:
                count = 12 if look >= 1.0 else 4
                one.looked(count, look, look, is_near=count == 4, has_grown=True)
        return one.place(MOVES, at) if one.is_sure(at) else None


def often(begin: float, end: float = 4.0) -> list[float]:
    return [begin + n * LOOK_OFTEN for n in range(int((end - begin) / LOOK_OFTEN))]


FROM_THE_BEGINNING = st.floats(0, LOOK_OFTEN).map(lambda begin: Bff(often(begin)))
STARTS = st.floats(0.9, 1.5).map(lambda begin: Bff(often(begin)))
CANNOT_ASK = st.tuples(st.floats(0, LOOK_OFTEN), st.floats(0.6, 1.1), st.floats(0, 2)).map(
    lambda said: Bff([one for one in often(said[0]) if not said[1] <= one < said[1] + said[2]])
)


@settings(max_examples=400, deadline=None)
@given(
    bffs=st.lists(st.one_of(FROM_THE_BEGINNING, STARTS, CANNOT_ASK), min_size=2, max_size=5),
    posts=st.lists(st.tuples(st.integers(0, 4), st.floats(0.9, 2.5)), max_size=30),
)
def test_whichever_bffs_a_customer_uses_the_new_partition_gets_nothing_before_the_old_one_has_all(
    bffs: list[Bff], posts: list[tuple[int, float]]
) -> None:
    """The partitions are there at 1.0. Some bffs start then or later, some cannot ask Kafka meanwhile."""
    sent: dict[int, list[float]] = {partition_of(MOVES, 4): [], partition_of(MOVES, 12): []}
    for number, at in posts:
        if found := bffs[number % len(bffs)].sends(at):
            partition, not_before = found
            sent[partition].append(max(at, not_before))
    old, new = sent.values()
    assert max(old, default=0.0) < min(new, default=10.0)
