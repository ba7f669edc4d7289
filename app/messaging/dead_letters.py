"""What a dead letter looks like: the original as far as it fits, and headers that say where from and why."""

from __future__ import annotations

import gzip
import hashlib
import time
from typing import Any

PREFIX = "dead_letter."
#: How the value differs from the original, if it does; then its bytes and hash are told in headers as well.
FORM, BYTES, SHA256 = f"{PREFIX}form", f"{PREFIX}value_bytes", f"{PREFIX}value_sha256"
GZIP, CUT = b"gzip", b"cut"
#: On a letter that holds a whole batch nobody can read, as its bytes are in the log: where the partition goes on.
NEXT = f"{PREFIX}next_offset"

#: Bytes of a letter, below what a broker takes by default (1 MiB): larger ones are compressed, else cut.
MOST = 1_000_000
#: No topic takes less than this.
LEAST = 4_000
_REASON_MOST = 500

Headers = list[tuple[str, bytes]]

#: Topic, partition and offset of what became a dead letter.
Source = tuple[str, int, int]


def letter_of(record: Any, reason: str, most: int = MOST) -> tuple[bytes | None, bytes | None, Headers]:
    """Key, value and headers of a letter of at most about `most` bytes."""
    ours = _origin(record, reason)
    # Headers that begin like ours would be read as ours: a foreign record could hide its own letter.
    theirs = [(_name(name), value) for name, value in record.headers if not name.startswith(PREFIX)]
    key, value = record.key, record.value
    room = most - _size([*theirs, *ours]) - len(key or b"") - 1000
    if len(value or b"") <= room:
        return key, value, [*theirs, *ours]
    told = [
        (BYTES, str(len(value or b"")).encode()),
        (SHA256, hashlib.sha256(value or b"").hexdigest().encode()),
    ]
    packed = gzip.compress(value or b"", mtime=0)
    if len(packed) <= room:
        return key, packed, [*theirs, *ours, (FORM, GZIP), *told]
    part = most // 4
    kept = theirs if _size(theirs) <= part else []
    return key and key[:part], value and value[:part], [*kept, *ours, (FORM, CUT), *told]


def place_of(source: Source) -> str:
    """How logs and commands write it."""
    return "{}[{}]@{}".format(*source)


def told_by(record: Any) -> dict[str, str]:
    """Our own headers of a record, as text."""
    return {
        name: (value or b"").decode(errors="replace")
        for name, value in record.headers
        if name.startswith(PREFIX)
    }


def source_of(told: dict[str, str]) -> Source | None:
    """Whose letter it is, by what its headers tell; None for a record that is no letter of ours."""
    try:
        return told[f"{PREFIX}topic"], int(told[f"{PREFIX}partition"]), int(told[f"{PREFIX}offset"])
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
