"""Killing parts of the stack, hearing what the others say of it, and making it whole again."""

from __future__ import annotations

from infra.native import processes, stack
from infra.native.paths import LOGS


def kill(*names: str) -> None:
    """SIGKILL each."""
    for name in names:
        stack.kill(name)


def whole() -> None:
    """Start all that is dead, side by side, and wait until all is ready that is not hung."""
    known = processes.states().items()
    stack.up(only=[name for name, part in known if name != "generator" and part.state != "paused"])


class Said:
    """What a part writes into its log from now on."""

    def __init__(self, part: str) -> None:
        self._path = LOGS / f"{part}.log"
        self._begin = self._path.stat().st_size

    def lines(self, *words: str) -> list[str]:
        """The lines with all of these words."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]
