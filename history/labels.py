"""The fraud labels of one merchant, as they were known on any day."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate


class FraudLabels:
    """Days of transactions labelled fraud, by the day on which the label was known."""

    def __init__(self) -> None:
        # One entry per day of knowledge, ascending, with everything that was known by then.
        self._known_on: list[int] = []
        self._counts: list[int] = []
        self._first: list[int] = []
        self._last: list[int] = []

    def add(self, known_on: int, day: int) -> None:
        """One more transaction of the day `day` was fraud, as was known on the day `known_on`."""
        at = bisect_left(self._known_on, known_on)
        if at == len(self._known_on) or self._known_on[at] != known_on:
            self._known_on.insert(at, known_on)
            self._counts.insert(at, self._counts[at - 1] if at else 0)
            self._first.insert(at, self._first[at - 1] if at else day)
            self._last.insert(at, self._last[at - 1] if at else day)
        # Nearly always the last entry: labels come in the order in which they are known.
        self._counts[at:] = [known + 1 for known in self._counts[at:]]
        self._first[at:] = accumulate(self._first[at:], min, initial=day)
        self._first.pop(at)
        self._last[at:] = accumulate(self._last[at:], max, initial=day)
        self._last.pop(at)

    def known_before(self, day: int) -> tuple[int, int, int] | None:
        """Return how many frauds were known before that day, and the days of the first and of the last; None: none."""
        at = bisect_left(self._known_on, day) - 1
        return None if at < 0 else (self._counts[at], self._first[at], self._last[at])
