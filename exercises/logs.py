"""What a part writes into its log from a moment on."""

from __future__ import annotations

from infra.native.paths import LOGS


class Log:
    """From now on."""

    def __init__(self, part: str) -> None:
        self._path = LOGS / f"{part}.log"
        self._begin = self._path.stat().st_size

    def text(self) -> str:
        """All of it."""
        return self._path.read_bytes()[self._begin :].decode(errors="replace")

    def lines(self, words: str) -> list[str]:
        """The lines that have these words."""
        return [line for line in self.text().splitlines() if words in line]
