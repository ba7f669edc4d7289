"""What the maintainer knows of the read model, for every GET."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class RedisState(Enum):
    """How far Redis can be trusted."""

    MARKED = auto()  # its completeness marker says whether it has all of the newest
    UNANSWERED = auto()  # a GET got no answer: no other one asks before the maintainer gets one
    DOWN = auto()  # the maintainer got none either: what is decided meanwhile will be missing
    BEHIND = auto()  # it is back with its old data and marker, and is being refilled


@dataclass(slots=True)
class ReadModelState:
    """One per bff."""

    redis: RedisState = RedisState.MARKED
    #: Since when (time.monotonic) Redis has all of the newest; None while it has not.
    complete_since: float | None = None
    #: A replay writes both stores again: what neither has may exist.
    being_rebuilt: bool = False
    #: Another bff may have written entries of an earlier release: one ran before this one did, or has just left.
    may_lack_fields: bool = True

    @property
    def answers(self) -> bool:
        """Whether a GET may ask Redis at all: while it is down, each would wait for the time-out."""
        return self.redis not in (RedisState.UNANSWERED, RedisState.DOWN)

    @property
    def is_behind(self) -> bool:
        """Whether its marker is older than what it has missed."""
        return self.redis in (RedisState.DOWN, RedisState.BEHIND)

    def note_unanswered(self) -> None:
        """A GET got no answer from Redis. If Redis had missed something before, it still has."""
        self.redis = RedisState.DOWN if self.is_behind else RedisState.UNANSWERED

    def note_rebalanced(self) -> None:
        """The bffs share their work anew: one has left that may have been of an earlier release."""
        self.may_lack_fields = True

    def note_answered(self) -> None:
        """The maintainer got an answer."""
        self.redis = RedisState.BEHIND if self.is_behind else RedisState.MARKED
