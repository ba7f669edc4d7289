"""What is done to a part, as the commands of the same names do it, and what state each part is in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from infra.native import lockfile, processes, stack, startup, supervisor
from lab.answers import Json

#: What a part is started with: settings beyond the lab's own environment, and a command instead of the Procfile's.
StartedWith = tuple[dict[str, str], str | None]
LOOKS_APART = 1.0  # seconds: more pages do not mean more looks


@lockfile.held()
def start(name: str, environment: dict[str, str], command: str | None) -> None:
    """Start a part and do not wait: the page shows when it is ready."""
    if not stack.is_up():
        raise SystemExit("nothing is up: make up")
    if part := stack.find(name).pid:
        raise SystemExit(f"{name} runs already (pid {part})")
    startup.check_ports([name])
    supervisor.start(name, environment, command)


class Hands:
    """On the parts of the running stack; `started_with` says how a part is started at the moment."""

    def __init__(self, started_with: Callable[[str], StartedWith]) -> None:
        self._started_with = started_with
        self.actions: dict[str, Callable[[str], None]] = {
            "kill": stack.kill,
            "stop": stack.stop,
            "pause": stack.pause,
            "resume": stack.resume,
            "start": self._start,
            "restart": self._restart,
        }
        self._looking = asyncio.Lock()
        self._looked_at = 0.0
        self._found: Json = {}

    def _start(self, name: str) -> None:
        start(name, *self._started_with(name))

    def _restart(self, name: str) -> None:
        if stack.pid(name) is not None:
            stack.stop(name)
        self._start(name)

    async def act(self, name: str, action: str) -> str:
        """Do it; empty, or why it could not be done."""
        why_not = await asyncio.to_thread(_tried, self.actions[action], name)
        self._looked_at = 0.0
        return why_not

    async def look(self) -> Json:
        """`up`, whether a supervisor runs, and `parts`, each as `make ps` shows it."""
        async with self._looking:
            if time.monotonic() > self._looked_at + LOOKS_APART:
                self._found = await asyncio.to_thread(_look)
                self._looked_at = time.monotonic()
            return self._found


def names() -> list[str]:
    """Of the parts that can be acted on."""
    return supervisor.names()


def _tried(action: Callable[[str], None], name: str) -> str:
    try:
        action(name)
    except SystemExit as why_not:  # what a command would have ended with
        return str(why_not)
    except Exception as failure:  # noqa: BLE001  # the supervisor may end meanwhile; the lab goes on
        return f"{type(failure).__name__}: {failure}"
    return ""


def _look() -> Json:
    return {"up": stack.is_up(), "parts": [_shown(p) for p in processes.asked(processes.states().values())]}


def _shown(part: processes.Part) -> dict[str, Any]:
    ended = part.state.startswith(("exited", "ended"))
    words = processes.last_words(part.name, 6) if ended else ""
    return {**part._asdict(), "port": part.port, "last_words": words}
