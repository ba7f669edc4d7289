"""Load at a rate: the generator in a process of its own, for a bounded time."""

from __future__ import annotations

import re

from lab.answers import Json, Refused
from lab.command import Command

MAX_RATE = 500  # a second
LASTS = 600  # seconds

#: The generator's lines begin with a time and a level.
STAMP = re.compile(r"^\S+ \S+ (INFO|WARNING|ERROR) ")


class Load:
    """At most one at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._rate = 0.0
        self._command: Command | None = None

    async def begin(self, rate: float) -> None:
        """That many transactions a second from now on, instead of what was sent so far; Refused 400."""
        if not 0 < rate <= MAX_RATE:
            raise Refused(400, "Invalid request", f"rate is above 0 and at most {MAX_RATE} a second")
        await self.end()
        self._rate = rate
        count = max(1, round(rate * LASTS))
        self._command = Command("generator", "--rate", f"{rate:g}", "--count", str(count))
        await self._command.start(self._environment)

    async def end(self) -> None:
        """Send no more."""
        if self._command:
            self._command.stop()
            await self._command.ended()

    def shown(self) -> Json:
        """The rate, 0 if none is sent; since when; and what the generator said last."""
        command = self._command
        if command is None:
            return {"rate": 0, "since": None, "lasts": LASTS, "said": "", "max_rate": MAX_RATE}
        rate = self._rate if command.status is None else 0
        said = STAMP.sub("", command.last)
        return {"rate": rate, "since": command.began, "lasts": LASTS, "said": said, "max_rate": MAX_RATE}
