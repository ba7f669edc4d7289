"""The lab in front of a made-up bff, with hands on made-up parts: `python -m tests.browser.fake_lab` for a look."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.answers import Json
from lab.api import Api
from lab.command import Command
from lab.hands import Hands
from lab.links import Links
from lab.load import Load
from lab.proxy import Proxy
from lab.runs import Runs
from lab.server import serving
from tests.browser.fake_bff import prepared, serve
from tests.browser.fake_state import FakeState

TOKEN = "a-token-of-the-tests"
PORT, BFF_PORT = 5092, 5093
AFTER = {"kill": "killed", "stop": "stopped", "pause": "paused"}
COST = "POST answers 201; GET reads Cassandra, and says that pending transactions may be missing."


class FakeHands(Hands):
    """On a state's parts: what is done to one is what the made-up bff says of it."""

    def __init__(self, state: FakeState) -> None:
        super().__init__(lambda _: ({}, None))
        self._state = state
        self.seconds = 20.0  # that an exercise takes
        self.take_out_lasts = 0.0  # seconds
        self.processes = dict.fromkeys([*state.parts, "generator"], "running")

    async def act(self, name: str, action: str) -> str:
        if action == "kill" and self.processes[name] not in ("running", "paused"):
            return f"{name} does not run ({self.processes[name]})"
        self.processes[name] = after = AFTER.get(action, "running")
        if name in self._state.parts:
            down = after != "running"
            self._state.set_part(
                name, "down" if down else "up", "refuses connections" if down else "ok", COST * down
            )
        return ""

    async def look(self) -> Json:
        parts = [
            {
                "name": name,
                "state": state,
                "pid": 4000 + number if state in ("running", "paused") else None,
                "port": str(5000 + number),
                "why_not": "" if state == "running" else state,
                "last_words": "",
            }
            for number, (name, state) in enumerate(self.processes.items())
        ]
        return {"up": True, "parts": parts}


@asynccontextmanager
async def fake_lab(state: FakeState) -> AsyncIterator[FakeHands]:
    """Serves."""

    def made_up(number: int, control: bool) -> Command:
        more = ["--control"] if control else []
        return Command("tests.browser.fake_exercise", str(number), str(hands.seconds), *more)

    class SlowLinks(Links):
        """Taking relays out takes a moment, as it restarts their clients."""

        async def take_out(self) -> str:
            await asyncio.sleep(hands.take_out_lasts)
            return await super().take_out()

    hands = FakeHands(state)

    async def restarted(_: str) -> str:
        return ""

    environment = {**os.environ, "BFF_URL": f"http://127.0.0.1:{BFF_PORT}"}
    api = Api(hands, SlowLinks(restarted), Load(environment), Runs(environment, made_up))
    async with serving(api, Proxy(f"http://127.0.0.1:{BFF_PORT}"), TOKEN, PORT):
        yield hands
        await api.end()


async def main() -> None:
    """Until it is interrupted."""
    state = prepared("")
    runner = await serve(state, BFF_PORT)
    async with fake_lab(state):
        print(f"http://127.0.0.1:{PORT}/#token={TOKEN}", flush=True)  # noqa: T201
        try:
            await state.traffic()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
