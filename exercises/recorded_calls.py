"""What clients were answered: every POST and GET, those of the loop and the single ones alike."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field

from generator.client import Answer

#: Entries of a list: GET is asked for so many, so a list that is shorter lacks some.
LISTED = 100


@dataclass(frozen=True, slots=True)
class Get:
    """What one GET of the list came to. Times are time.monotonic(); status 0 means that no answer came."""

    sent: float
    answered: float
    status: int
    source: str = ""
    length: int = 0
    may_lack: bool = False  # the answer says itself that pending ones may be missing

    @property
    def took(self) -> float:
        """Seconds."""
        return self.answered - self.sent


@dataclass
class RecordedCalls:
    """What was answered 201 must be found everywhere at the end."""

    answers: list[Answer] = field(default_factory=list)
    gets: list[Get] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        """Those that were answered 201 so far."""
        return [answer.transaction_id for answer in list(self.answers) if answer.transaction_id]

    def posts(self, since: float, until: float | None = None) -> list[Answer]:
        """The POSTs sent between two moments (of time.monotonic())."""
        end = until or time.monotonic()
        return [answer for answer in list(self.answers) if since <= answer.sent < end]

    def reads(self, since: float, until: float | None = None) -> list[Get]:
        """The GETs sent between two moments."""
        end = until or time.monotonic()
        return [get for get in list(self.gets) if since <= get.sent < end]


def get_of(sent: float, status: int, body: str | bytes) -> Get:
    """A GET of the list that was answered just now; status 0 for a body that is none of ours."""
    try:
        page = json.loads(body)
        entries, source = page.get("transactions") or [], str(page.get("source", ""))
        may_lack = bool(page.get("pending_may_be_missing"))
    except (ValueError, AttributeError):
        return Get(sent, time.monotonic(), 0)
    return Get(sent, time.monotonic(), status, source, len(entries), may_lack)
