"""What is known of the read model: written by its maintainer, looked at by each GET."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class RedisState(Enum):
    """How far Redis can be believed."""

    MARKED = auto()  # its completeness marker says whether it has all of the newest
    UNANSWERED = auto()  # a GET had no answer: no other one asks until the maintainer has had one
    DOWN = auto()  # the maintainer had none either: what is decided meanwhile will be missing
    BEHIND = auto()  # it is back with its data and its marker, and is being refilled


@dataclass(slots=True)
class ReadModelState:
    """One for the bff."""

    redis: RedisState = RedisState.MARKED
    #: Since when (time.monotonic) Redis has all of the newest; None while it has not.
    complete_since: float | None = None
    #: A replay writes both stores again: what neither has may exist.
    being_rebuilt: bool = False

    @property
    def answers(self) -> bool:
        """Whether a GET may ask Redis at all: who does while it is away waits for its time-out."""
        return self.redis not in (RedisState.UNANSWERED, RedisState.DOWN)

    @property
    def is_behind(self) -> bool:
        """Whether its marker is older than what it has missed."""
        return self.redis in (RedisState.DOWN, RedisState.BEHIND)

    def note_unanswered(self) -> None:
        """A GET had no answer of Redis; what it has missed is not forgotten over that."""
        self.redis = RedisState.DOWN if self.is_behind else RedisState.UNANSWERED

    def note_answered(self) -> None:
        """The maintainer had an answer."""
        self.redis = RedisState.BEHIND if self.is_behind else RedisState.MARKED
