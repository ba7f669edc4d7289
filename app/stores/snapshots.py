"""Customers' histories on this machine's disk, a file per partition: where a fold of the log goes on.

A snapshot is a shortcut, never the truth: it says up to which offset it is, and the log says the rest. One that is
missing, damaged, of another version or of another log costs the time to read the log from its beginning.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from history import layout

log = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The customers and their rows (history.layout) as of an offset; `last_id` is the transaction before it."""

    offset: int
    last_offset: int
    last_id: str
    customer_ids: list[str]
    words: NDArray[np.uint64]


class Snapshots:
    """The files in a folder; blocking calls, for a thread."""

    def __init__(self, folder: str):
        """`folder`: made when it is needed; empty: nothing is kept."""
        self._folder = Path(folder) if folder else None

    def write(self, partition: int, snapshot: Snapshot) -> None:
        """Whole, or not at all: a crash leaves the file of before. OSError."""
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        ids = json.dumps(snapshot.customer_ids).encode()
        rows = np.ascontiguousarray(snapshot.words).view(np.uint8).reshape(-1).data
        head = {
            "format": [FORMAT, layout.VERSION],
            "offset": snapshot.offset,
            "last_offset": snapshot.last_offset,
            "last_id": snapshot.last_id,
            "ids": len(ids),
            "customers": len(snapshot.customer_ids),
            "crc32": zlib.crc32(rows, zlib.crc32(ids)),
        }
        # A worker that still takes itself for the owner may write it too: each is right as of its offset.
        temporary = self._folder / f"{partition}.{os.getpid()}.tmp"
        with temporary.open("wb") as file:
            file.write(json.dumps(head).encode() + b"\n" + ids)
            file.write(rows)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path(partition))

    def read(self, partition: int) -> Snapshot | None:
        """The partition's, if there is one that can be used."""
        if self._folder is None:
            return None
        try:
            with self._path(partition).open("rb") as file:
                return _read(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            log.warning(
                "The snapshot %s cannot be used, partition %d's log is read from its beginning: %s",
                self._path(partition),
                partition,
                exc,
            )
            return None

    def _path(self, partition: int) -> Path:
        assert self._folder is not None
        return self._folder / f"{partition}.history"


def _read(file: IO[bytes]) -> Snapshot:
    head: dict[str, Any] = json.loads(file.readline())
    if head["format"] != [FORMAT, layout.VERSION]:
        raise ValueError(f"it is of version {head['format']}, not {[FORMAT, layout.VERSION]}")
    ids, rows = file.read(head["ids"]), file.read()
    if zlib.crc32(rows, zlib.crc32(ids)) != head["crc32"]:
        raise ValueError("its checksum is wrong")
    words = np.frombuffer(rows, np.uint64).reshape(head["customers"], layout.WORDS)
    return Snapshot(head["offset"], head["last_offset"], head["last_id"], json.loads(ids), words)
