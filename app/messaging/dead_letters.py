"""What a dead letter looks like: the original as far as it fits, and headers that say where from and why."""

from __future__ import annotations

import gzip
import hashlib
import time
from typing import Any

PREFIX = "dead_letter."
#: How the value differs from the original, if it does; then headers give its size and hash as well.
FORM, BYTES, SHA256 = f"{PREFIX}form", f"{PREFIX}value_bytes", f"{PREFIX}value_sha256"
GZIP, CUT = b"gzip", b"cut"
#: On a dead letter that holds a whole unreadable batch, byte for byte: the offset where the partition continues.
NEXT = f"{PREFIX}next_offset"

#: Bytes of a dead letter, below what a broker takes by default (1 MiB): larger ones are compressed, else cut.
MOST = 1_000_000
#: No topic takes less than this.
LEAST = 4_000
_REASON_MOST = 500

Headers = list[tuple[str, bytes]]

#: Topic, partition and offset of what became a dead letter.
Source = tuple[str, int, int]


def dead_letter_of(record: Any, reason: str, most: int = MOST) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of a dead letter of at most about `most` bytes."""
    ours = _origin(record, reason)
    # Headers that begin like ours would be read as ours: a foreign record could hide its own dead letter.
    theirs = [(_name(name), value) for name, value in record.headers if not name.startswith(PREFIX)]
    key, value = record.key, record.value
    room = most - _size([*theirs, *ours]) - len(key or b"") - 1000
    if len(value or b"") <= room:
        return key, value, [*theirs, *ours]
    size_and_hash = [
        (BYTES, str(len(value or b"")).encode()),
        (SHA256, hashlib.sha256(value or b"").hexdigest().encode()),
    ]
    packed = gzip.compress(value or b"", mtime=0)
    if len(packed) <= room:
        return key, packed, [*theirs, *ours, (FORM, GZIP), *size_and_hash]
    part = most // 4
    kept = theirs if _size(theirs) <= part else []
    return key and key[:part], value and value[:part], [*kept, *ours, (FORM, CUT), *size_and_hash]


def place_of(source: Source) -> str:
    """How logs and commands write it."""
    return "{}[{}]@{}".format(*source)


def headers_of(record: Any) -> dict[str, str]:
    """Our own headers of a record, as text."""
    return {
        name: (value or b"").decode(errors="replace")
        for name, value in record.headers
        if name.startswith(PREFIX)
    }


def source_of(headers: dict[str, str]) -> Source | None:
    """The source record, from the headers; None for a record that is not a dead letter of ours."""
    try:
        return headers[f"{PREFIX}topic"], int(headers[f"{PREFIX}partition"]), int(headers[f"{PREFIX}offset"])
    except (KeyError, ValueError):
        return None


def _size(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value or b"") + 10 for name, value in headers)


def _name(name: str) -> str:
    """A name that was no UTF-8, as it may be written again."""
    return name.encode(errors="backslashreplace").decode()


def _origin(record: Any, reason: str) -> Headers:
    return [
        (f"{PREFIX}topic", record.topic.encode()),
        (f"{PREFIX}partition", str(record.partition).encode()),
        (f"{PREFIX}offset", str(record.offset).encode()),
        (f"{PREFIX}reason", reason[:_REASON_MOST].encode(errors="backslashreplace")),
        (f"{PREFIX}failed_at", str(int(time.time() * 1000)).encode()),
    ]
