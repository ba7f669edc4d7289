"""Which transaction_ids have a status, and where in the log it is: the first decision stands (docs/decisions/0008).

The newest ids of each partition are in memory, so that a new one needs no look-up. What was forgotten is known by the
newest UUIDv7 among it: an id that was made later has no status, any other may have one, which a look-up finds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.models.transaction import millis_of_id

#: Ids of a partition that are remembered at least, and of all partitions at most: some 170 bytes each.
OF_A_PARTITION = 100_000
MOST = 1_000_000
#: Milliseconds that the clocks of whoever made an id, of Kafka and of the worker that decided it may be apart.
CLOCKS_APART = 60_000

#: Partition and offset of a record of transaction_status.
Place = tuple[int, int]
_PARTITION_BITS = 16


class DecidedIds:
    """Ids by their place in the log; the oldest are forgotten, many at a time."""

    def __init__(self, of_a_partition: int = OF_A_PARTITION, most: int = MOST):
        """Remembers at least `of_a_partition` per partition, and at most `most` in all."""
        self._of_a_partition, self._half = of_a_partition, most // 2
        # Two generations: what is older than both is forgotten at once, which costs nothing for each id.
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._newest_young = self._newest_old = ""
        self._read_to: dict[int, int] = {}
        self.has_forgotten = False
        self._newest_forgotten = -1  # milliseconds since 1970

    def places_of(self, ids: Sequence[str]) -> dict[str, Place]:
        """Where the statuses of these are, of those that are remembered: mostly none."""
        found = {one: self._young[one] for one in self._young.keys() & ids}
        found |= {one: self._old[one] for one in self._old.keys() & ids}
        return {one: (at & (1 << _PARTITION_BITS) - 1, at >> _PARTITION_BITS) for one, at in found.items()}

    def may_be_forgotten(self, transaction_id: str, now_ms: float) -> bool:
        """Whether an id that is not remembered may have a status all the same, in a partition that was read."""
        if not self.has_forgotten:
            return False
        made = millis_of_id(transaction_id)
        return made is None or not self._newest_forgotten < made <= now_ms + CLOCKS_APART

    def read_to(self, partition: int) -> int:
        """The offset of its status partition up to which its ids are known, or forgotten knowingly."""
        return self._read_to.get(partition, 0)

    def published(self, partition: int, ids: Sequence[str], offsets: Sequence[int]) -> None:
        """We have given them a status."""
        places = [offset << _PARTITION_BITS | partition for offset in offsets]
        self._young.update(zip(ids, places, strict=True))
        self._remember_newest(ids)
        self._read_to[partition] = offsets[-1] + 1
        self._make_room()

    def read(
        self, partition: int, found: dict[str, int], end: int, older_than_ms: float | None = None
    ) -> None:
        """What the status partition has (offsets by id, the newest first), read to `end`.

        `older_than_ms`: what is not in `found` was published before, in milliseconds since 1970; None: there is nothing
        else.
        """
        for transaction_id, offset in reversed(found.items()):
            if transaction_id not in self._old:
                self._young.setdefault(transaction_id, offset << _PARTITION_BITS | partition)
        self._remember_newest(found)
        self._read_to[partition] = end
        if older_than_ms is not None:
            self._forget_before(int(older_than_ms) + CLOCKS_APART)
        self._make_room()

    def _remember_newest(self, ids: Iterable[str]) -> None:
        newest = max(ids, default="")
        if millis_of_id(newest) is None:  # their text sorts by time; others' does not
            newest = max((one for one in ids if millis_of_id(one) is not None), default="")
        self._newest_young = max(self._newest_young, newest)

    def _make_room(self) -> None:
        if len(self._young) < min(self._half, self._of_a_partition * len(self._read_to)):
            return
        if self._old:
            self._forget_before(millis_of_id(self._newest_old) or -1)
        self._old, self._newest_old = self._young, self._newest_young
        self._young, self._newest_young = {}, ""

    def _forget_before(self, made_ms: int) -> None:
        self.has_forgotten = True
        self._newest_forgotten = max(self._newest_forgotten, made_ms)
