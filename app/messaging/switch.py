"""Where a key's next record goes, also while partitions are added: all bffs switch as one.

Each of them learns by itself that there are more partitions. One that has learnt it lets the keys that move wait until
the others must know it too; else a customer's transaction through the one could overtake another one through the other.
One that starts does not know how many there were, and lets all wait; one that cannot ask Kafka sends nothing once the
others may have switched.
"""

from __future__ import annotations

from app.messaging.partitioner import partition_of

#: Seconds between two looks: usually, and while partitions are being added, to transaction_status first.
LOOK_EVERY, LOOK_OFTEN = 2.0, 0.2
#: Seconds for Kafka's answer to a look: one broker may hang, and the next look may ask another one. Doubled after each
#: that was too slow, since all of them may be.
LOOK_WITHIN, LOOK_WITHIN_MOST = 0.5, 8.0
#: Seconds that a key waits when it moves: some looks of the others, and well within a POST's time.
HOLD = 1.0
#: Seconds for which a broker may still say the old number.
SETTLED = 10.0


class Switch:
    """Of a topic: how many partitions there are, and how many there were."""

    def __init__(self) -> None:
        self._before = self._count = 0
        self._since = float("-inf")
        self._sure_until = float("inf")

    def wait_for_a_look(self) -> None:
        """Until Kafka has been asked, nothing is known."""
        self._sure_until = float("-inf")

    def looked(self, count: int, asked: float, now: float, *, is_near: bool, has_grown: bool) -> None:
        """As `saw`, at a look that began at `asked`.

        `is_near`: partitions are being added; `has_grown`: some ever were, so that a first look may come just behind.
        """
        is_first = not self._count
        self.saw(count, now)
        if is_first and has_grown:
            self._since = now
        # Those that see them at once send to them when HOLD has passed.
        self._sure_until = asked + HOLD if is_near else float("inf")

    def is_sure(self, now: float) -> bool:
        """Whether nobody can send to partitions that are not known here."""
        return now < self._sure_until

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
        waits = now < until and not (self._before and partition == partition_of(key, self._before))
        return partition, until if waits else now
