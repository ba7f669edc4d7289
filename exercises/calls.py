"""What clients were answered: every POST and GET, those of the load and the single ones alike, and in words."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from textwrap import TextWrapper
from urllib.parse import urlsplit

from generator.client import PATH, Answer
from generator.traffic import transaction
from reconciliation.readers import bff_url
from reconciliation.summary import percentile

#: Entries of a list: GET is asked for so many, so a list that is shorter lacks some.
LISTED = 100
WIDTH = 110


@dataclass(frozen=True, slots=True)
class Get:
    """What one GET of the list came to. Times are time.monotonic(); status 0 means that no answer came."""

    sent: float
    answered: float
    status: int
    source: str = ""
    length: int = 0
    may_lack: bool = False  # the answer says itself that pending ones may be missing
    error: str = ""

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


def post() -> Answer:
    """One transaction, as a client sends it."""
    sent = time.monotonic()
    status, said = call("POST", PATH, json.dumps(transaction(random.Random())))
    id_, error = (json.loads(said)["transaction_id"], "") if status == 201 else (None, error_in(said))
    return Answer(id_, status, sent, sent, time.monotonic(), error)


def get() -> Get:
    """The newest, as a client asks for them."""
    sent = time.monotonic()
    return get_of(sent, *call("GET", f"{PATH}?limit={LISTED}"))


def call(method: str, path: str, body: str | None = None) -> tuple[int, str]:
    """One call of the bff: its status (0 for none), and what it said or why it did not."""
    target = urlsplit(bff_url())
    connection = HTTPConnection(target.hostname or "", target.port, timeout=10)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, HTTPException) as failure:
        return 0, f"{type(failure).__name__}: {failure}"
    finally:
        connection.close()


def get_of(sent: float, status: int, body: str) -> Get:
    """A GET of the list that was answered just now; status 0 for a body that is none of ours."""
    try:
        page = json.loads(body)
        entries, source = page.get("transactions") or [], str(page.get("source", ""))
        may_lack = bool(page.get("pending_may_be_missing"))
    except (ValueError, AttributeError):
        return Get(sent, time.monotonic(), 0, error=body)
    error = "" if status == 200 else error_in(body)
    return Get(sent, time.monotonic(), status, source, len(entries), may_lack, error)


def error_in(said: str) -> str:
    """What an answer that is an error says in words; the whole text of one that is not ours."""
    try:
        return str(json.loads(said)["error"])
    except (ValueError, KeyError, TypeError):
        return said


def line(second: int, posts: Sequence[Answer], gets: Sequence[Get], lag: int | None) -> str:
    """What one second was like for a client."""
    read = Counter(f"from {get.source}" if get.status == 200 else _word(get.status) for get in gets)
    return (
        f"{second:4d} s  POST {answered(posts):<22}{_p99([a.answered - a.sent for a in posts])}"
        f"   GET {_counts(read):<33}{_p99([g.took for g in gets])}   lag {'?' if lag is None else lag}"
    )


def answered(posts: Sequence[Answer]) -> str:
    """How many POSTs were answered what: `43 taken, 13 x 503`."""
    return _counts(Counter(_word(answer.status) for answer in posts))


def wrapped(text: str) -> str:
    """A long line of the transcript, whole: broken between words, the first set in by two, the others by four."""
    breaks = TextWrapper(WIDTH, "  ", "    ", break_long_words=False, break_on_hyphens=False)
    return breaks.fill(text)


def _word(status: int) -> str:
    return {0: "refused", 201: "taken"}.get(status, f"x {status}")


def _counts(words: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.most_common()) or "no answer"


def _p99(seconds: Sequence[float]) -> str:
    return f"p99 {percentile(seconds, 99) * 1000:5.0f} ms" if seconds else " " * 12
