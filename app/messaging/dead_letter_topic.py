"""What the dead-letter topic holds: one dead letter per source record, which were sent back, and how. No I/O."""

from __future__ import annotations

import gzip
import time
from dataclasses import dataclass
from typing import Any

from app.messaging import topics
from app.messaging.codec import NO_FOR
from app.messaging.dead_letters import (
    BYTES,
    CUT,
    FORM,
    GZIP,
    NEXT,
    PREFIX,
    Source,
    headers_of,
    place_of,
    source_of,
)
from app.messaging.fenced_writer import Outgoing
from app.messaging.producer import Headers

#: A record with this header is not a dead letter: it marks the one of that source as sent back.
SENT_BACK = f"{PREFIX}sent_back"
#: Bytes a line of the dump.
WIDTH = 16


@dataclass(frozen=True, slots=True)
class StoredDeadLetter:
    """A dead letter and what its headers say; `source` is topic, partition and offset of the original."""

    record: Any
    source: Source
    reason: str
    failed_at: int
    sent_back: bool

    @property
    def place(self) -> str:
        """How the commands name it."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def line(self) -> str:
        """One line of the list."""
        given = dict(self.record.headers).get(BYTES)
        size = int(given) if given else len(self.record.value or b"")
        mark = "sent back" if self.sent_back else "batch" if self.is_batch else "cut" if self.is_cut else "-"
        where = place_of(self.source)
        return f"{self.place:<9} {mark:<10} {where:<32} {_time(self.failed_at)} {size:>8} B  {_safe(self.reason)}"

    @property
    def is_cut(self) -> bool:
        """Whether it holds a part of the original only: that one is in its source topic."""
        return dict(self.record.headers).get(FORM) == CUT

    @property
    def is_batch(self) -> bool:
        """Whether it holds the bytes of a batch that nobody could read: no record that could be sent back."""
        return NEXT in dict(self.record.headers)

    @property
    def value(self) -> bytes | None:
        """The original's value, of a cut one its beginning."""
        found: bytes | None = self.record.value
        packed = dict(self.record.headers).get(FORM) == GZIP
        return gzip.decompress(found) if packed and found else found

    @property
    def original_headers(self) -> Headers:
        """The headers that the original had."""
        return [(name, value) for name, value in self.record.headers if not name.startswith(PREFIX)]


class DeadLetterSources:
    """Which records have a dead letter, each once, and which of them were sent back: for every count of dead letters.

    The records of the topic may be added in pieces: a mark may come long after its dead letter.
    """

    def __init__(self) -> None:
        self.all: set[Source] = set()
        self._sent: set[str] = set()

    def add(self, headers: dict[str, str]) -> Source | None:
        """Add one record's headers; returns the source if it is the first dead letter of it."""
        if SENT_BACK in headers:
            self._sent.add(headers[SENT_BACK])
            return None
        source = source_of(headers)
        if source is None or source in self.all:
            return None
        self.all.add(source)
        return source

    def is_sent_back(self, source: Source) -> bool:
        """Whether the mark for it is there."""
        return name_of(source) in self._sent

    @property
    def waiting(self) -> int:
        """How many were not sent back."""
        return sum(not self.is_sent_back(source) for source in self.all)


class Listed:
    """The dead letters, in a second reading of the topic, now that `sources` knows all marks."""

    def __init__(self, sources: DeadLetterSources):
        self._sources = sources
        self._left = set(sources.all)

    def dead_letter(self, record: Any) -> StoredDeadLetter | None:
        """One a source, though a retry may have written it twice: the first."""
        headers = headers_of(record)
        source = source_of(headers)
        if SENT_BACK in headers or source is None or source not in self._left:
            return None
        self._left.remove(source)
        is_sent_back = self._sources.is_sent_back(source)
        return StoredDeadLetter(
            record, source, headers.get(f"{PREFIX}reason", ""), _number(headers, "failed_at"), is_sent_back
        )


def until_forgotten(dead_letter: StoredDeadLetter, now: float) -> float:
    """Seconds until the workers ask the registry again about a schema that it did not have when this one failed."""
    return min(NO_FOR, max(0.0, dead_letter.failed_at / 1000 + NO_FOR - now))


def sent_back(dead_letter: StoredDeadLetter) -> list[Outgoing]:
    """The original, and the mark that it was sent: in one transaction, so that neither is there alone."""
    topic, partition, _ = dead_letter.source
    record = dead_letter.record
    mark = [(SENT_BACK, name_of(dead_letter.source).encode())]
    return [
        Outgoing(topic, partition, record.key, dead_letter.value, dead_letter.original_headers),
        Outgoing(topics.DEAD_LETTER, record.partition, record.key, None, mark),
    ]


def name_of(source: Source) -> str:
    """A source in one word, as the sent-back mark has it."""
    return "{}:{}:{}".format(*source)


def dump(value: bytes | None) -> str:
    """Hex and text beside it, 16 bytes a line."""
    if value is None:
        return "(no value)"
    lines = []
    for start in range(0, len(value), WIDTH):
        part = value[start : start + WIDTH]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in part)
        lines.append(f"{start:08x}  {part.hex(' '):<{3 * WIDTH}} {text}")
    return "\n".join(lines) or "(empty)"


def shown(dead_letter: StoredDeadLetter) -> str:
    """Everything about one dead letter."""
    headers = "\n".join(
        f"  {_safe(name)}: {_safe((value or b'').decode(errors='replace'))}"
        for name, value in dead_letter.record.headers
    )
    key = _safe((dead_letter.record.key or b"").decode(errors="replace"))
    return f"{dead_letter.line}\nkey: {key}\nheaders:\n{headers}\nvalue:\n{dump(dead_letter.value)}"


def _number(headers: dict[str, str], name: str) -> int:
    text = headers.get(PREFIX + name, "")
    return int(text) if text.isdecimal() else 0


def _time(millis: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(min(millis, 10**14) / 1000))


def _safe(text: str) -> str:
    """No control character of a foreign record reaches the terminal."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
