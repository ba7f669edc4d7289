"""Something that goes on while a test does something else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def again_and_again(do: Callable[[], object], pause: float) -> Iterator[None]:
    """Repeat `do` in a separate thread, with a pause in between, until the block ends."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(pause):
            do()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
