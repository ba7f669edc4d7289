"""One command at a time changes the stack; the lock dies with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator

from infra.native.folders import LOCK


@contextlib.contextmanager
def held(remove: bool = False) -> Iterator[None]:
    """Wait for the lock, hold it, and leave no file behind if `remove`."""
    file = _take()
    try:
        yield
        if remove:
            LOCK.unlink(missing_ok=True)
    finally:
        os.close(file)


def _take() -> int:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("waiting for another up, down or scale to end …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        # `down` may have removed the file while we waited: then this lock guards nothing, take the new one
        if LOCK.exists() and os.path.samestat(os.fstat(file), LOCK.stat()):
            return file
        os.close(file)
