"""Where a key's next record goes, also while partitions are added: all bffs switch as one.

Each of them learns by itself that there are more partitions. One that has learnt it lets the keys that move wait until
the others must know it too; else a customer's transaction through the one could overtake another one through the other.
"""

from __future__ import annotations

from app.messaging.partitioner import partition_of

#: Seconds between two looks: usually, and while partitions are being added, to transaction_status first.
LOOK_EVERY, LOOK_OFTEN = 2.0, 0.2
#: Seconds that a key waits when it moves: some looks of the others, and well within a POST's time.
HOLD = 1.0
#: Seconds for which a broker may still say the old number.
SETTLED = 10.0


class Switch:
    """Of a topic: how many partitions there are, and how many there were."""

    def __init__(self) -> None:
        self._before = self._count = 0
        self._since = float("-inf")

    def saw(self, count: int, now: float) -> None:
        """Kafka says that there are so many; `now`: in seconds, by any clock."""
        if count > self._count > 0:
            self._before, self._since = self._count, now
        elif count == self._count or now < self._since + SETTLED:
            return
        self._count = count

    def place(self, key: bytes, now: float) -> tuple[int, float]:
        """The key's partition, and the time before which it may not be sent to."""
        partition, until = partition_of(key, self._count), self._since + HOLD
        waits = now < until and partition != partition_of(key, self._before)
        return partition, until if waits else now
