"""Which member of a group gets which partitions: each keeps what it has, as far as all have equally many.

Round robin, which Faust takes, deals all of them anew whenever a worker comes or goes. Each then has partitions that it
knows nothing of, and all transactions wait while it claims them and reads their customers' histories.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

#: Partitions by topic.
Held = dict[str, list[int]]


class KeepingAssignor(RoundRobinPartitionAssignor):  # type: ignore[misc]  # aiokafka publishes no types
    """Goes by the name of round robin, and may be in a group with workers of a release that still has that one.

    What a member has is in the data that each may add for its leader: round robin adds none and reads none.
    """

    def __init__(self, is_member: Callable[[], bool]):
        """`is_member`: whether the group still counts us in; who was put out of it has lost what it had."""
        self._is_member = is_member
        self._held: Held = {}

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What we tell the group's leader."""
        held = self._held if self._is_member() else {}
        return ConsumerProtocolMemberMetadata(self.version, list(topics), json.dumps(held).encode())

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """What we have from now on."""
        self._held = {topic: list(partitions) for topic, partitions in assignment.assignment}

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """The leader's part: everybody's partitions, by what all have told."""
        held = {member: _held(metadata.user_data) for member, metadata in members.items()}
        assigned: dict[str, Held] = {member: {} for member in members}
        for topic in sorted({topic for metadata in members.values() for topic in metadata.subscription}):
            sharing = {
                member: held[member].get(topic, [])
                for member, metadata in members.items()
                if topic in metadata.subscription
            }
            for member, some in shared(cluster.partitions_for_topic(topic) or (), sharing).items():
                assigned[member][topic] = some
        return {
            member: ConsumerProtocolMemberAssignment(self.version, sorted(topics.items()), b"")
            for member, topics in assigned.items()
        }


def shared(partitions: Collection[int], held: Mapping[str, Collection[int]]) -> Held:
    """The partitions for each who shares them, nobody two more than another; `held`: what they have."""
    least, more = divmod(len(partitions), len(held))
    free = set(partitions)
    shares: Held = {}
    # Who has most first: some may have one more than the others.
    for member in sorted(held, key=lambda one: (-len(held[one]), one)):
        shares[member] = sorted(free.intersection(held[member]))[: least + (more > 0)]
        more -= len(shares[member]) > least
        free.difference_update(shares[member])
    for partition in sorted(free):
        poorest = min(shares, key=lambda one: (len(shares[one]), one))
        shares[poorest].append(partition)
    return shares


def _held(user_data: bytes | None) -> Mapping[str, Any]:
    """What a member says that it has; one that is not of ours says nothing that we understand."""
    try:
        said = json.loads(user_data or b"{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
