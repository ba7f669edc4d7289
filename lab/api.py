"""The lab's own calls, under /lab/api: what the page's buttons do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aiohttp import web

from lab import hands, texts
from lab.answers import Refused, body_of
from lab.hands import Hands
from lab.links import Links
from lab.load import Load
from lab.runs import Runs, outcome

HEARTBEAT = 10.0  # seconds
READY_WITHIN = 60.0

Result = TypeVar("Result")


class Api:
    """Everything that changes something is done to its end, also when whoever asked has gone; one at a time."""

    def __init__(self, hands: Hands, links: Links, load: Load, runs: Runs) -> None:
        self._hands, self._links, self._load, self._runs = hands, links, load, runs
        self._changing = asyncio.Lock()
        self._going_on: set[asyncio.Future[Any]] = set()

    async def state(self, _: web.Request) -> web.Response:
        """What the page asks for each second: parts, faults, load, the exercise."""
        found = await self._hands.look()
        return web.json_response(
            {
                **found,
                "faults": self._links.shown(),
                "load": self._load.shown(),
                "exercise": self._runs.shown(),
            }
        )

    async def act(self, request: web.Request) -> web.Response:
        """kill, stop, pause, resume, start or restart a part."""
        name, action = request.match_info["name"], request.match_info["action"]
        known = await asyncio.to_thread(hands.names)
        if name not in known:
            raise Refused(404, "Not found", f"no part is called so; the parts are: {' '.join(known)}")
        if action not in self._hands.actions:
            raise Refused(404, "Not found", f"a part can {', '.join(self._hands.actions)}")
        await body_of(request)
        self._runs.refuse_if_running()
        if why_not := await self._to_the_end(self._hands.act(name, action)):
            raise Refused(409, "Not done", why_not)
        return await self.state(request)

    async def fault(self, request: web.Request) -> web.Response:
        """Slow a part down, cut it off, or heal it."""
        body = await body_of(request, part=str, delay_ms=int, cut=bool)
        self._runs.refuse_if_running()
        part, delay, cut = body.get("part", ""), body.get("delay_ms", 0), body.get("cut", False)
        if why_not := await self._to_the_end(self._alone(lambda: self._links.put(part, delay, cut))):
            raise Refused(409, "Not done", why_not)
        return await self.state(request)

    async def begin_load(self, request: web.Request) -> web.Response:
        """Send load at a rate."""
        body = await body_of(request, rate=(int, float))
        self._runs.refuse_if_running()
        await self._to_the_end(self._alone(lambda: self._load.begin(body.get("rate", 0))))
        return await self.state(request)

    async def end_load(self, request: web.Request) -> web.Response:
        """Send no more."""
        await body_of(request)
        await self._to_the_end(self._alone(self._load.end))
        return await self.state(request)

    async def exercises(self, request: web.Request) -> web.Response:
        """Their texts, in `lang`."""
        language = request.query.get("lang", "en")
        if language not in texts.FOLDERS:
            raise Refused(400, "Invalid request", f"lang is one of {', '.join(texts.FOLDERS)}")
        return web.json_response({"exercises": texts.exercises(language)})

    async def play(self, request: web.Request) -> web.Response:
        """Begin an exercise, or its control."""
        number = _number(request)
        body = await body_of(request, control=bool)
        self._runs.refuse_if_running()
        control = body.get("control", False)
        await self._to_the_end(self._alone(lambda: self._play(number, control)))
        return await self.state(request)

    async def _play(self, number: int, control: bool) -> None:
        """Nobody else may POST meanwhile, and the exercises' own relays are enough."""
        with self._runs.preparing(number, control):
            await self._load.end()
            if any(link["relayed"] for link in self._links.shown()):
                if why_not := await self._links.take_out():
                    raise Refused(409, "Not done", why_not)
                await self._ready_again()
        await self._runs.play(number, control)

    async def _ready_again(self) -> None:
        """The clients of what was relayed have been started again; whatever else is not ready, the exercise says."""
        ends = asyncio.get_running_loop().time() + READY_WITHIN
        while asyncio.get_running_loop().time() < ends:
            parts = (await self._hands.look())["parts"]
            if not any(part["why_not"] for part in parts if part["state"] == "running"):
                return
            await asyncio.sleep(0.3)

    async def stop(self, request: web.Request) -> web.Response:
        """End an exercise: it restores everything first."""
        await body_of(request)
        self._runs.stop(_number(request))
        return await self.state(request)

    async def lines(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: each `line` of the exercise as it comes, from Last-Event-ID on; at last the `end`."""
        number = _number(request)
        command, control = self._runs.of(number), self._runs.control
        seen = request.headers.get("Last-Event-ID", "")
        if not (seen == "" or (seen.isdecimal() and len(seen) < 10)):
            raise Refused(400, "Invalid request", "Last-Event-ID is the number of a line")
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await answer.prepare(request)
        async for at, line in command.follow(int(seen) + 1 if seen else 0, HEARTBEAT):
            event = ":\n\n" if line is None else f"id: {at}\nevent: line\ndata: {json.dumps(line)}\n\n"
            await answer.write(event.encode())
        await answer.write(f"event: end\ndata: {json.dumps(outcome(command, control))}\n\n".encode())
        return answer

    async def end(self) -> None:
        """What the lab has begun is ended: what somebody has asked for, load, exercise, relays."""
        if self._going_on:
            await asyncio.wait(self._going_on)
        if self._runs.running and self._runs.command:
            print("the exercise is being stopped; it restores every part first …", flush=True)
            self._runs.command.stop()
            await self._runs.command.ended()
        await self._load.end()
        if any(link["relayed"] for link in self._links.shown()):
            print("the relays are taken out …", flush=True)
            if why_not := await self._links.take_out():
                print(why_not, flush=True)

    async def _alone(self, change: Callable[[], Awaitable[Result]]) -> Result:
        async with self._changing:
            self._runs.refuse_if_running()
            return await change()

    async def _to_the_end(self, change: Coroutine[Any, Any, Result]) -> Result:
        task = asyncio.ensure_future(change)
        self._going_on.add(task)
        task.add_done_callback(self._going_on.discard)
        return await asyncio.shield(task)

    def routes(self) -> list[web.RouteDef]:
        """Under /lab/api."""
        return [
            web.get("/state", self.state),
            web.post("/parts/{name}/{action}", self.act),
            web.post("/faults", self.fault),
            web.post("/load", self.begin_load),
            web.post("/load/stop", self.end_load),
            web.get("/exercises", self.exercises),
            web.post("/exercises/{number}/play", self.play),
            web.post("/exercises/{number}/stop", self.stop),
            web.get("/exercises/{number}/lines", self.lines),
        ]


def _number(request: web.Request) -> int:
    text = request.match_info["number"]
    if text not in map(str, texts.NUMBERS):
        raise Refused(404, "Not found", f"the exercises are 1 to {texts.NUMBERS[-1]}")
    return int(text)
