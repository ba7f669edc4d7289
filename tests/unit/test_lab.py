"""The lab's calls: who may use them, what they refuse, what they hand on; on hands that only write down."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import unused_port
from yarl import URL

from infra.native import stack
from infra.native.wording import WrongWord
from lab import __main__ as lab_command
from lab import hands as lab_hands
from lab.answers import Json
from lab.api import Api
from lab.command import Command
from lab.guard import HEADER, new_token
from lab.hands import Hands
from lab.links import Links
from lab.load import Load
from lab.proxy import Proxy
from lab.runs import Runs, outcome
from lab.server import serving

TOKEN = new_token()
CALLS = [
    ("GET", "/lab/api/state"),
    ("GET", "/lab/api/exercises"),
    ("GET", "/lab/api/exercises/1/lines"),
    ("POST", "/lab/api/parts/redis/kill"),
    ("POST", "/lab/api/faults"),
    ("POST", "/lab/api/load"),
    ("POST", "/lab/api/load/stop"),
    ("POST", "/lab/api/exercises/1/play"),
    ("POST", "/lab/api/exercises/1/stop"),
]


class Written(Hands):
    """Hands that write down what they were asked."""

    def __init__(self) -> None:
        super().__init__(lambda _: ({}, None))
        self.done: list[tuple[str, str]] = []
        self.why_not = ""

    async def act(self, name: str, action: str) -> str:
        self.done.append((name, action))
        return self.why_not

    async def look(self) -> Json:
        return {"up": True, "parts": [{"name": "redis", "state": "running", "why_not": ""}]}


class Scripted(Command):
    """A command that says what a test gives it, without a process."""

    async def start(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def say(self, *lines: str) -> None:
        self.lines += lines
        self._tell()

    def end(self, status: int) -> None:
        self.status = status
        self._tell()

    def stop(self) -> None:
        self.stopping = True
        self.end(130)

    async def ended(self) -> None:
        pass


class Lab:
    """The lab on a port of its own, and a client of it."""

    def __init__(self, session: ClientSession, port: int) -> None:
        self.hands, self.commands, self.port = Written(), list[Scripted](), port
        self.runs = Runs({}, self._made)
        self.load = Load({})
        self.api = Api(self.hands, Links(lambda _: _nothing()), self.load, self.runs)
        self._session = session

    def _made(self, number: int, control: bool) -> Command:
        self.commands.append(Scripted(str(number), str(control)))
        return self.commands[-1]

    async def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Its status and what it says: JSON, or the text."""
        own = {HEADER: TOKEN, "Content-Type": "application/json"} | (headers or {})
        own = {name: value for name, value in own.items() if value != "-"}
        data = body if isinstance(body, str) else None if body is None else json.dumps(body)
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self._session.request(method, url, data=data, headers=own) as answer:
            text = await answer.text()
            return answer.status, json.loads(text) if text and answer.content_type.endswith("json") else text


async def _nothing() -> str:
    return ""


@asynccontextmanager
async def lab(bff: int = 1) -> AsyncIterator[Lab]:
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        served = Lab(session, unused_port())
        async with serving(served.api, Proxy(f"http://127.0.0.1:{bff}"), TOKEN, served.port):
            yield served


def on_a_lab(test: Callable[[Lab], Awaitable[None]]) -> None:
    """Run it; nothing that it began is left."""

    async def run() -> None:
        async with lab() as served:
            await test(served)
            for command in served.commands:
                command.stop()

    asyncio.run(run())


@pytest.fixture(autouse=True)
def _two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lab_hands, "names", lambda: ["redis", "bff"])


@pytest.mark.parametrize("token", ["-", "", "a", TOKEN[:-1], TOKEN + "a", TOKEN.lower(), "ä"])
def test_nothing_is_done_and_nothing_said_without_the_token(token: str) -> None:
    async def test(served: Lab) -> None:
        for method, path in CALLS:
            status, said = await served.call(method, path, headers={HEADER: token})
            assert (status, said["title"]) == (403, "Wrong token"), path
        assert served.hands.done == []
        assert served.commands == []

    on_a_lab(test)


@pytest.mark.parametrize("path", ["/", "/lab/api/state", "/api/v1/system", "/static/main.js", "/lab/lab.js"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:5050"},
        {"Host": "127.0.0.1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:5001"},
    ],
)
def test_a_foreign_host_or_origin_is_refused_whatever_it_asks_for(path: str, headers: dict[str, str]) -> None:
    async def test(served: Lab) -> None:
        status, said = await served.call("GET", path, headers=headers)
        assert (status, said["title"].split()[0]) == (403, "Foreign")

    on_a_lab(test)


def test_its_own_page_may_ask_under_both_names_of_loopback() -> None:
    async def test(served: Lab) -> None:
        for name in (f"127.0.0.1:{served.port}", f"localhost:{served.port}"):
            headers = {"Host": name, "Origin": f"http://{name}"}
            assert (await served.call("POST", "/lab/api/parts/redis/kill", {}, headers))[0] == 200
        assert served.hands.done == [("redis", "kill")] * 2

    on_a_lab(test)


def test_a_form_of_another_page_cannot_send_an_action() -> None:
    async def test(served: Lab) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            how = {"Content-Type": kind}
            assert (await served.call("POST", "/lab/api/parts/redis/kill", "{}", how))[0] == 415
        assert served.hands.done == []

    on_a_lab(test)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("parts/nobody/kill", {}, 404),
        ("parts/redis/explode", {}, 404),
        ("parts/redis/__init__", {}, 404),
        ("parts/redis%2F..%2Fbff/kill", {}, 404),
        ("parts/redis/kill", {"signal": 9}, 400),
        ("parts/redis/kill", [], 400),
        ("parts/redis/kill", "{", 400),
        ("exercises/0/play", {}, 404),
        ("exercises/99/play", {}, 404),
        ("exercises/1;ls/play", {}, 404),
        ("exercises/-1/play", {}, 404),
        ("exercises/%D9%A1/play", {}, 404),
        ("exercises/1/play", {"control": "yes"}, 400),
        ("exercises/1/stop", {}, 404),
        ("faults", {"part": "kafka", "delay_ms": 5}, 404),
        ("faults", {"part": "redis", "delay_ms": -1}, 400),
        ("faults", {"part": "redis", "delay_ms": 10_001}, 400),
        ("faults", {"part": "redis", "delay_ms": 1.5}, 400),
        ("faults", {"part": "redis", "delay_ms": True}, 400),
        ("faults", {"part": "redis", "cut": 1}, 400),
        ("load", {"rate": 0}, 400),
        ("load", {"rate": -5}, 400),
        ("load", {"rate": 500.1}, 400),
        ("load", {"rate": 10**400}, 400),
        ("load", '{"rate": NaN}', 400),
        ("load", '{"rate": Infinity}', 400),
        ("load", {"rate": "50"}, 400),
        ("load", {"rate": True}, 400),
        ("load", {"rate": None}, 400),
        ("load", {}, 400),
        ("load", {"rate": 5, "command": "ls"}, 400),
    ],
)
def test_unknown_names_and_values_out_of_bounds_are_refused(path: str, body: Any, status: int) -> None:
    async def test(served: Lab) -> None:
        found, said = await served.call("POST", f"/lab/api/{path}", body)
        assert (found, bool(said["detail"])) == (status, True)
        assert served.hands.done == []
        assert served.commands == []
        assert served.load.shown()["rate"] == 0

    on_a_lab(test)


def test_what_cannot_be_done_is_said_in_the_words_of_the_command() -> None:
    async def test(served: Lab) -> None:
        served.hands.why_not = "redis does not run (killed)"
        status, said = await served.call("POST", "/lab/api/parts/redis/kill", {})
        assert (status, said["detail"]) == (409, "redis does not run (killed)")

    on_a_lab(test)


def test_while_an_exercise_is_played_nothing_else_is_begun() -> None:
    async def test(served: Lab) -> None:
        assert (await served.call("POST", "/lab/api/exercises/3/play", {"control": True}))[0] == 200
        assert served.commands[0].arguments == ("3", "True")
        for path, body in (
            ("parts/redis/kill", {}),
            ("faults", {"part": "redis", "cut": True}),
            ("load", {"rate": 5}),
            ("exercises/1/play", {}),
        ):
            status, said = await served.call("POST", f"/lab/api/{path}", body)
            assert (status, "exercise 3" in said["detail"]) == (409, True), path
        assert served.hands.done == []
        status, said = await served.call("POST", "/lab/api/exercises/3/stop", {})
        assert said["exercise"]["state"] == "ended"
        assert (await served.call("POST", "/lab/api/parts/redis/kill", {}))[0] == 200

    on_a_lab(test)


def test_an_exercise_whose_parts_are_made_ready_first_is_shown_at_once_and_has_the_system_already() -> None:
    async def test(served: Lab) -> None:
        with served.runs.preparing(2, True):
            _, said = await served.call("GET", "/lab/api/state")
            assert (said["exercise"]["number"], said["exercise"]["state"]) == (2, "starting")
            for path in ("parts/redis/kill", "exercises/1/play"):
                status, said = await served.call("POST", f"/lab/api/{path}", {})
                assert (status, said["detail"]) == (409, "exercise 2 is being started")
        assert (await served.call("GET", "/lab/api/state"))[1]["exercise"] is None
        assert served.hands.done == []

    on_a_lab(test)


def test_the_lab_says_when_the_stack_has_gone_and_come_back(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = [True, False, False, True, True]
    monkeypatch.setattr(lab_command, "LOOKS_APART", 0)
    monkeypatch.setattr(stack, "is_up", lambda: looks.pop(0))

    async def run() -> None:
        with contextlib.suppress(IndexError):  # the looks are over
            await lab_command.watch()

    asyncio.run(run())
    down, up = capsys.readouterr().out.splitlines()
    assert down == "the stack is down; the lab goes on: make up, or Ctrl-C here"
    assert up == "the stack is up again"
    monkeypatch.setattr(stack, "is_up", lambda: False)
    assert lab_command.stack_now() == "nothing is up"


def test_an_exercises_lines_come_at_once_and_go_on_after_the_last_one_seen_and_end_with_its_promises() -> (
    None
):
    async def test(served: Lab) -> None:
        await served.call("POST", "/lab/api/exercises/1/play", {})
        command = served.commands[0]
        command.say("> one", "  kept    a (1)")
        reading = asyncio.create_task(served.call("GET", "/lab/api/exercises/1/lines"))
        await asyncio.sleep(0.05)
        command.say("  BROKEN  b (2)", "", "Exercise 1: BROKEN: 1 of 2 promises")
        command.end(1)
        _, text = await reading
        assert text.startswith('id: 0\nevent: line\ndata: "> one"\n\n')
        assert text.count("event: line") == 5
        end = json.loads(text.partition("event: end\ndata: ")[2])
        assert end["promises"] == [{"kept": True, "text": "a (1)"}, {"kept": False, "text": "b (2)"}]
        assert (end["status"], end["said"]) == (1, "Exercise 1: BROKEN: 1 of 2 promises")
        how = {"Last-Event-ID": "3"}
        _, text = await served.call("GET", "/lab/api/exercises/1/lines", headers=how)
        assert text.startswith("id: 4\n")
        for wrong in ("x", "-1", "9" * 40):
            how = {"Last-Event-ID": wrong}
            assert (await served.call("GET", "/lab/api/exercises/1/lines", headers=how))[0] == 400
        assert (await served.call("GET", "/lab/api/exercises/2/lines"))[0] == 404

    on_a_lab(test)


def test_an_exercise_that_never_came_to_its_promises_has_none_and_says_why() -> None:
    command = Scripted()
    command.say("bff is not ready (killed); see make ps", "")
    command.end(1)
    found = outcome(command, control=False)
    assert (found["promises"], found["said"]) == ([], "bff is not ready (killed); see make ps")


def test_the_lab_does_not_end_before_what_was_asked_for_is_done() -> None:
    async def test(served: Lab) -> None:
        goes_on, done = asyncio.Event(), []

        async def slow() -> None:
            await goes_on.wait()
            done.append(True)

        asked = asyncio.create_task(served.api._to_the_end(slow()))
        await asyncio.sleep(0)
        ending = asyncio.create_task(served.api.end())
        await asyncio.sleep(0.05)
        assert not ending.done()
        goes_on.set()
        await ending
        await asked
        assert done

    on_a_lab(test)


def test_a_dead_bff_is_a_502_and_the_page_and_its_hands_are_there() -> None:
    async def test(served: Lab) -> None:
        for path in ("/api/v1/system", "/docs", "/api/v1/transactions/events"):
            status, said = await served.call("GET", path)
            assert (status, said["title"]) == (502, "The bff does not answer")
        assert (await served.call("GET", "/lab/api/state"))[0] == 200
        _, page = await served.call("GET", "/")
        assert '<script src="/static/main.js" type="module">' in page
        assert '<script src="/lab/lab.js" type="module">' in page
        for path in ("/lab/../lab/__main__.py", "/lab/x.js", "/static/../html.py", "/lab/%2e%2e/hands.py"):
            assert (await served.call("GET", path))[0] in (404, 502), path

    on_a_lab(test)


def test_what_is_the_bffs_is_handed_on_as_it_comes() -> None:
    seen: list[Any] = []
    more = asyncio.Event()

    async def echo(request: web.Request) -> web.Response:
        if request.path == "/known":
            return web.Response(status=304, headers={"ETag": '"1"'})
        seen.append((request.method, request.raw_path, await request.text(), request.headers["Host"]))
        return web.json_response({"error": "so"}, status=418, headers={"ETag": '"1"', "Location": "/x"})

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"id: 1\n\n")
        await more.wait()
        await answer.write(b"id: 2\n\n")
        return answer

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/api/v1/transactions/events", stream)
        app.router.add_route("*", "/{path:.*}", echo)
        runner, port = web.AppRunner(app), unused_port()
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        async with lab(port) as served, ClientSession() as session:
            path = "/api/v1/transactions?customer_id=a%20b%2Fc&limit=1"
            assert await served.call("POST", path, {"a": 1}) == (418, {"error": "so"})
            assert seen == [("POST", path, '{"a": 1}', f"127.0.0.1:{served.port}")]
            assert await served.call("HEAD", path) == (418, "")
            assert await served.call("GET", "/known") == (304, "")
            url = f"http://127.0.0.1:{served.port}/api/v1/transactions/events"
            async with session.get(url) as answer, asyncio.timeout(5):
                assert await answer.content.readuntil(b"\n\n") == b"id: 1\n\n"  # before the bff ends it
                more.set()
                assert await answer.content.read() == b"id: 2\n\n"
        await runner.cleanup()

    asyncio.run(run())


def test_every_answer_says_that_it_is_what_it_says_and_a_page_lets_nothing_foreign_run() -> None:
    async def run() -> None:
        async with lab() as served, ClientSession() as session:
            for path in ("/", "/static/main.js", "/lab/lab.js", "/lab/api/state"):
                async with session.get(f"http://127.0.0.1:{served.port}{path}") as answer:
                    assert answer.headers["X-Content-Type-Options"] == "nosniff"
                    policy = answer.headers.get("Content-Security-Policy", "")
                    assert policy.startswith("default-src 'self';") == (path == "/")

    asyncio.run(run())


def test_a_command_is_asked_to_end_once_and_its_lines_are_kept() -> None:
    code = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
    code += "print('ready', flush=True)\nend = time.monotonic() + 0.6\nwhile time.monotonic() < end: time.sleep(0.05)"

    class Own(Command):
        """`python -c` instead of `python -m`."""

    async def run() -> Command:
        command = Own("timeit", "-n", "1", "-r", "1", code)
        await command.start(dict(os.environ))
        async for _, line in command.follow(0, 5):
            if line in ("ready", "asked"):
                command.stop()
        await command.ended()
        return command

    found = asyncio.run(run())
    assert found.lines.count("asked") == 1
    assert (found.status, found.stopping) == (0, True)


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1", "5050 "])
def test_a_port_that_is_none_is_refused_in_a_line(port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PORT", port)
    with pytest.raises(WrongWord, match="is not a port"):
        lab_command.port()
