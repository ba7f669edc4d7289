"""Exercises played from the page: `python -m exercises N`, one at a time, and what came of the last one."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lab.answers import Json, Refused
from lab.command import Command

PROMISE = re.compile(r"^  (kept  |BROKEN)  (.+)$")


def command_of(number: int, control: bool) -> Command:
    """As a person types it."""
    return Command("exercises", str(number), *(["--control"] if control else []))


class Runs:
    """At most one runs; the last one's lines are kept until the next."""

    def __init__(
        self, environment: dict[str, str], make: Callable[[int, bool], Command] = command_of
    ) -> None:
        self._environment, self._make = environment, make
        self.number, self.control = 0, False
        self.command: Command | None = None
        self._preparing: Json | None = None

    @property
    def running(self) -> bool:
        """Whether one runs."""
        return self.command is not None and self.command.status is None

    @contextmanager
    def preparing(self, number: int, control: bool) -> Iterator[None]:
        """Meanwhile it is shown as the one that begins: the parts are made ready for it first."""
        self._preparing = {"number": number, "control": control, "state": "starting", "since": time.time()}
        try:
            yield
        finally:
            self._preparing = None

    async def play(self, number: int, control: bool) -> None:
        """Begin; Refused 409 while one runs."""
        self.refuse_if_running()
        self.number, self.control, self.command = number, control, self._make(number, control)
        await self.command.start(self._environment)

    def refuse_if_running(self) -> None:
        """Refused 409: what an exercise breaks and counts is its own."""
        if self._preparing:
            raise Refused(409, "Busy", f"exercise {self._preparing['number']} is being started")
        if self.running:
            raise Refused(
                409, "Busy", f"exercise {self.number} is being played; stop it, or wait for its end"
            )

    def of(self, number: int) -> Command:
        """The command of this exercise; Refused 404 if it is not the last one that was played."""
        if self.command is None or number != self.number:
            raise Refused(404, "Not found", f"exercise {number} has not been played since the lab started")
        return self.command

    def stop(self, number: int) -> None:
        """It restores everything, and ends."""
        self.of(number).stop()

    def shown(self) -> Json | None:
        """The one that begins, runs, or ran last."""
        if self._preparing:
            return self._preparing
        if (command := self.command) is None:
            return None
        state = "ended" if not self.running else "stopping" if command.stopping else "running"
        return {"number": self.number, "control": self.control, "state": state, "since": command.began}


def outcome(command: Command, control: bool) -> Json:
    """What an exercise that has ended said of its promises; none if it never came to them."""
    found = [match for line in command.lines if (match := PROMISE.match(line))]
    promises = [{"kept": match[1] == "kept  ", "text": match[2]} for match in found]
    said = next((line for line in reversed(command.lines) if line.strip()), "")
    return {
        "status": command.status,
        "stopped": command.stopping,
        "control": control,
        "promises": promises,
        "said": said,
    }
