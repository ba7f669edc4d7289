"""Who gets which partitions when a worker comes or goes: each keeps what it has, as far as all have equally many."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from hypothesis import given
from hypothesis import strategies as st

from app.messaging.assignor import KeepingAssignor, shared

CREATED = {"transaction_created": 4}
BFFS = {"transaction_label": 4, "transaction_status": 4}

#: By member, by topic.
Assigned = dict[str, dict[str, list[int]]]


class Group:
    """Its members, and what each has."""

    def __init__(self, topics: dict[str, int]) -> None:
        self.topics = topics
        self.members: dict[str, Any] = {}
        self.put_out: set[str] = set()

    def comes(self, name: str, assignor: Any = None) -> Assigned:
        self.members[name] = assignor or KeepingAssignor(lambda: name not in self.put_out)
        return self.rebalanced()

    def goes(self, name: str) -> Assigned:
        del self.members[name]
        return self.rebalanced()

    def rebalanced(self, leader: str = "") -> Assigned:
        """As the group's leader assigns, over the wire."""
        cluster: Any = SimpleNamespace(partitions_for_topic=lambda topic: set(range(self.topics[topic])))
        metadata = {
            name: ConsumerProtocolMemberMetadata.decode(one.metadata(self.topics).encode())
            for name, one in self.members.items()
        }
        assigned = self.members[leader or min(self.members)].assign(cluster, metadata)
        found: Assigned = {}
        for name, assignment in assigned.items():
            received = ConsumerProtocolMemberAssignment.decode(assignment.encode())
            self.members[name].on_assignment(received)
            found[name] = {topic: list(some) for topic, some in received.assignment}
        return found


def created(assigned: Assigned) -> dict[str, list[int]]:
    return {name: topics["transaction_created"] for name, topics in assigned.items()}


def test_when_a_worker_goes_the_others_keep_theirs_and_share_what_it_had() -> None:
    group = Group(CREATED)
    for name in ("a", "b", "c"):
        group.comes(name)
    before = created(group.rebalanced())
    gone = max(before, key=lambda name: len(before[name]))
    after = created(group.goes(gone))
    assert all(set(before[name]) < set(partitions) for name, partitions in after.items())
    assert sorted(after.values(), key=len) == [*after.values()], "two each"


def test_a_worker_that_comes_takes_from_who_has_most_and_nothing_else_moves() -> None:
    group = Group(CREATED)
    for name in ("a", "b"):
        group.comes(name)
    before = created(group.rebalanced())
    after = created(group.comes("c"))
    assert len(after["c"]) == 1
    assert [set(before[name]) >= set(after[name]) for name in ("a", "b")] == [True, True]
    assert sorted(map(len, after.values())) == [1, 1, 2]


def test_of_each_topic_all_have_equally_many_also_after_one_of_them_had_all() -> None:
    group = Group(BFFS)
    group.comes("bff")
    both = group.comes("bff-2")
    assert [len(some) for topics in both.values() for some in topics.values()] == [2, 2, 2, 2]


def test_who_was_put_out_of_the_group_claims_nothing_of_what_it_had() -> None:
    group = Group(CREATED)
    group.comes("a")
    asleep = group.members.pop("a")
    group.comes("b")
    group.put_out = {"a"}
    after = created(group.comes("a", asleep))
    assert after == {"a": [2, 3], "b": [0, 1]}


@pytest.mark.parametrize("leader", ["new", "old"])
def test_it_shares_a_group_with_workers_of_the_release_before_whoever_leads_it(leader: str) -> None:
    group = Group(CREATED)
    group.comes("old", RoundRobinPartitionAssignor())
    assert KeepingAssignor.name == RoundRobinPartitionAssignor.name
    group.comes("new")
    after = created(group.rebalanced(leader))
    assert sorted(after["old"] + after["new"]) == [0, 1, 2, 3]
    assert len(after["old"]) == 2


@pytest.mark.parametrize("said", [b"", None, b"\x00\x01\xff", b"[1, 2]", b"7"])
def test_a_members_data_that_is_not_ours_counts_as_none(said: bytes | None) -> None:
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda _: {0, 1})
    members = {"a": ConsumerProtocolMemberMetadata(0, ["t"], said)}
    assigned = KeepingAssignor(lambda: True).assign(cluster, members)
    assert assigned["a"].assignment == [("t", [0, 1])]


def test_of_a_topic_that_is_not_there_nobody_has_anything() -> None:
    cluster: Any = SimpleNamespace(partitions_for_topic=lambda _: None)
    members = {"a": ConsumerProtocolMemberMetadata(0, ["t"], b"")}
    assert KeepingAssignor(lambda: True).assign(cluster, members)["a"].assignment == [("t", [])]


def parts() -> st.SearchStrategy[set[int]]:
    return st.sets(st.integers(0, 12))


@given(parts(), st.dictionaries(st.sampled_from("abcdef"), parts(), min_size=1))
def test_whatever_they_had_each_partition_is_somebodys_and_all_have_equally_many(
    partitions: set[int], held: dict[str, set[int]]
) -> None:
    shares = shared(partitions, held)
    assert sorted(one for some in shares.values() for one in some) == sorted(partitions)
    assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1
    _check_that_no_more_moves_than_must(partitions, held, shares)


def _check_that_no_more_moves_than_must(
    partitions: Collection[int], held: dict[str, set[int]], shares: dict[str, list[int]]
) -> None:
    """Who got one that it had not kept all that it had, or has as many as anybody may have to keep."""
    least = len(partitions) // len(held)
    owned: Iterable[tuple[str, set[int]]] = ((name, set(some) & held[name]) for name, some in shares.items())
    for name, kept in owned:
        others = {one for other, some in shares.items() if other != name for one in set(some) & held[other]}
        could_keep = (set(partitions) & held[name]) - others
        assert kept == could_keep or len(kept) >= min(least, len(could_keep))
