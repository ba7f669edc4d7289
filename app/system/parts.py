"""The parts as they were found, since when, and when each went down and came back. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["up", "degraded", "down", "unknown"]

#: Marks kept for the charts, at most.
MARKS_MOST = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found out; `word` is shown to clients, so it names no address."""

    state: State
    word: str = "ok"


UP = Finding("up")
STUCK = Finding("degraded", "stuck")
HOLDING = Finding("degraded", "holds a partition")


@dataclass(frozen=True, slots=True)
class Mark:
    """A part went down, or came back; `at` in seconds since 1970."""

    at: float
    part: str
    state: Literal["down", "up"]


class Parts:
    """What each part is, and since when it has been in its state."""

    def __init__(self) -> None:
        self.found: dict[str, Finding] = {}
        self._since: dict[str, float] = {}
        self._is_since_known: dict[str, bool] = {}
        self._is_up: dict[str, bool] = {}  # of all that were ever seen, for the marks
        self.marks: deque[Mark] = deque(maxlen=MARKS_MOST)

    def update(self, found: Mapping[str, Finding | None], at: float) -> None:
        """What all parts are now; None: nobody could know, so what was known stays. Who is left out has gone."""
        now = {
            name: self.found.get(name, Finding("unknown", "not known yet")) if one is None else one
            for name, one in found.items()
        }
        for name, one in now.items():
            before = self.found.get(name)
            if before is None or before.state != one.state:
                self._since[name] = at
                was_known = before.state != "unknown" if before else name in self._is_up
                self._is_since_known[name] = was_known
            if one.state != "unknown":
                self._mark(name, one.state != "down", at)
        for name in self.found.keys() - now.keys():
            del self._since[name], self._is_since_known[name]
            self._mark(name, False, at)
        self.found = now

    def since(self, name: str) -> float:
        """Since when it has been in its state, in seconds since 1970: at the latest since we look."""
        return self._since[name]

    def is_since_known(self, name: str) -> bool:
        """Whether it was seen to come into its state; else it was found in it, and has been for longer perhaps."""
        return self._is_since_known[name]

    def _mark(self, name: str, is_up: bool, at: float) -> None:
        if self._is_up.get(name, is_up) != is_up:
            self.marks.append(Mark(at, name, "up" if is_up else "down"))
        self._is_up[name] = is_up


class Numbers:
    """Names for parts of a kind that come and go: redis-like names stay with a part as long as it is there."""

    def __init__(self, name_of_first: str, pattern: str):
        """`pattern` makes the names of the others from their number: 'bff-{}'."""
        self._first, self._pattern = name_of_first, pattern
        self._numbers: dict[Hashable, int] = {}

    def names(self, keys: Iterable[Hashable]) -> dict[Hashable, str]:
        """A name for each; one that is new gets the lowest number that is free, in the order given."""
        keys = list(keys)
        self._numbers = {key: number for key, number in self._numbers.items() if key in keys}
        for key in keys:
            if key not in self._numbers:
                taken = set(self._numbers.values())
                self._numbers[key] = next(n for n in range(1, len(keys) + 2) if n not in taken)
        return {key: self._first if n == 1 else self._pattern.format(n) for key, n in self._numbers.items()}
