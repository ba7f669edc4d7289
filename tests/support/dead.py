"""Kills processes of the stack, reads what the others log about it, and restores the stack."""

from __future__ import annotations

from infra.native import processes, stack
from infra.native.paths import LOGS


def kill(*names: str) -> None:
    """SIGKILL each."""
    for name in names:
        stack.kill(name)


def whole() -> None:
    """Start everything that is dead, concurrently, and wait until everything is ready that is not hung."""
    known = processes.states().items()
    stack.up(only=[name for name, part in known if name != "generator" and part.state != "paused"])


class Said:
    """What a process logs from now on."""

    def __init__(self, part: str) -> None:
        self._path = LOGS / f"{part}.log"
        self._begin = self._path.stat().st_size

    def lines(self, *words: str) -> list[str]:
        """The lines with all of these words."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            text = file.read().decode(errors="replace")
        return [line for line in text.splitlines() if all(word in line for word in words)]
