"""A bff for the page alone: the page's files, and answers out of a made-up state.

`python -m tests.browser.fake_bff 5099` serves it for a look: with 500 behind it at 500 transactions a second, with
`broken`, `wrong` or `empty` as these.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.browser.fake_state import FakeState, Json, a_dead_letter, an_answer

FOLDER = Path(__file__).parents[2] / "app" / "web" / "static"
TYPES = {".html": "text/html", ".css": "text/css", ".svg": "image/svg+xml", ".json": "application/json"}
POLICY = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'"


class FakeBff:
    """The calls that the page makes."""

    def __init__(self, state: FakeState):
        self.state = state

    async def static(self, request: web.Request) -> web.Response:
        """The page's files, under the policy that the bff gives them."""
        path = FOLDER / (request.match_info.get("file") or "index.html")
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        kind = TYPES.get(path.suffix, "text/javascript")
        return web.Response(body=path.read_bytes(), content_type=kind, headers=headers)

    async def post(self, request: web.Request) -> web.Response:
        """201, or 400 with the fields that are wrong."""
        sent = await request.json()
        numbers, texts = ("value_in_cents", "transaction_timestamp"), ("description", "customer_id")
        wrong = [
            _wrong(name, "must be an integer") for name in numbers if not isinstance(sent.get(name), int)
        ]
        wrong += [
            _wrong(name, "string should have at least 1 character") for name in texts if not sent.get(name)
        ]
        if wrong:
            return _problem(400, "Invalid request payload", "some fields are wrong", wrong)
        if self.state.keys_unknown and "Idempotency-Key" in request.headers:
            return _problem(
                503,
                "Idempotency store unavailable",
                "this call took nothing",
                kind="idempotency-store-unavailable",
            )
        id_ = self.state.take_once(request.headers.get("Idempotency-Key"), sent)
        if self.state.dies_after_taking:
            self.state.dies_after_taking = False
            return _problem(502, "The bff does not answer", "as a proxy says it")
        return web.json_response({"transaction_id": id_}, status=201)

    async def list(self, request: web.Request) -> web.Response:
        """A page, newest first."""
        wanted = {name: request.query[name] for name in ("status", "customer_id") if name in request.query}
        found = [
            entry
            for entry in reversed(self.state.transactions.values())
            if all(entry[name] == value for name, value in wanted.items())
        ]
        begin = int(request.query.get("cursor", 0))
        end = begin + int(request.query.get("limit", 100))
        more = str(end) if end < len(found) else None
        source = "redis" if self.state.parts["redis"]["state"] == "up" else "cassandra"
        return web.json_response({"transactions": found[begin:end], "next_cursor": more, "source": source})

    async def one(self, request: web.Request) -> web.Response:
        """One, waited for if it is asked so."""
        until = time.monotonic() + float(request.query.get("wait", 0))
        while (entry := self.state.transactions.get(request.match_info["id"])) is not None:
            if entry["status"] != "pending" or time.monotonic() >= until:
                return web.json_response(entry)
            await asyncio.sleep(0.01)
        return _problem(404, "Not found", "no transaction has this id")

    async def label(self, request: web.Request) -> web.Response:
        """What somebody says of one afterwards."""
        entry = self.state.transactions.get(request.match_info["id"])
        if entry is None:
            return _problem(404, "Not found", "no transaction has this id")
        entry["label"] = (await request.json())["label"]
        return web.json_response({"label": entry["label"]}, status=201)

    async def history(self, request: web.Request) -> web.Response:
        """Its steps and records."""
        found = self.state.history(request.match_info["id"])
        return web.json_response(found) if found else _problem(404, "Not found", "no transaction has this id")

    async def events(self, request: web.Request) -> web.StreamResponse:
        """The stream, until it is cut."""
        self.state.asked.append(request.query_string)
        answer = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        )
        await answer.prepare(request)
        await answer.write(b"retry: 1000\n\n")
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self.state.listeners[queue] = request.query.get("customer_id")
        with contextlib.suppress(ConnectionError):
            while event := await queue.get():
                await answer.write(event)
        self.state.listeners.pop(queue, None)
        answer.force_close()
        return answer

    async def dead_letters(self, _: web.Request) -> web.Response:
        """The dead letters."""
        found = self.state.dead_letters
        return web.json_response({"dead_letters": found[:100], "total": len(found)})

    async def send_back(self, request: web.Request) -> web.Response:
        """One or all."""
        which, before = request.match_info["which"], self.state.dead_letters
        kept = [] if which == "all" else [one for one in before if one["id"] != which]
        self.state.dead_letters = kept
        return web.json_response({"sent_back": len(before) - len(kept)}, status=202)

    async def session(self, _: web.Request) -> web.Response:
        """The token of the call in a cookie, as the bff sets it."""
        answer = web.Response(status=204)
        answer.set_cookie("payments_session", self.state.token, path="/api", httponly=True, samesite="Strict")
        return answer

    async def system(self, _: web.Request) -> web.Response:
        """The system."""
        return web.json_response(self.state.system())

    async def series(self, _: web.Request) -> web.Response:
        """The charts."""
        return web.json_response(self.state.series())

    def application(self) -> web.Application:
        """All of it."""
        transactions, dead_letters = "/api/v1/transactions", "/api/v1/dead-letters"
        app = web.Application(middlewares=[self._as_set])
        app.add_routes(
            [
                web.get("/", self.static),
                web.get("/static/{file:.+}", self.static),
                web.post("/api/v1/session", self.session),
                web.get("/api/v1/system", self.system),
                web.get("/api/v1/system/series", self.series),
                web.post(transactions, self.post),
                web.get(transactions, self.list),
                web.get(f"{transactions}/events", self.events),
                web.get(f"{transactions}/{{id}}/history", self.history),
                web.get(f"{transactions}/{{id}}", self.one),
                web.post(f"{transactions}/{{id}}/label", self.label),
                web.get(dead_letters, self.dead_letters),
                web.post(f"{dead_letters}/{{which}}/send-back", self.send_back),
            ]
        )
        return app

    @web.middleware
    async def _as_set(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.startswith("/api"):
            await asyncio.sleep(self.state.slow)
            token = (
                request.headers.get("Authorization") or f"Bearer {request.cookies.get('payments_session')}"
            )
            if self.state.token and token != f"Bearer {self.state.token}":
                return _problem(401, "Unauthorized", "this token is not known here", kind="unauthorized")
            if self.state.deaf:
                return _problem(503, "Read model unavailable", "neither Redis nor Cassandra answers")
        answer: web.StreamResponse = await handler(request)
        return answer


def _wrong(field: str, reason: str) -> dict[str, str]:
    return {"field": field, "reason": reason}


def _problem(
    status: int, title: str, detail: str, errors: list[dict[str, str]] | None = None, kind: str = "some"
) -> web.Response:
    body: Json = {"type": f"/problems/{kind}", "title": title, "status": status, "detail": detail}
    body |= {"request_id": "f4ke", "errors": errors or []}
    return web.json_response(body, status=status, content_type="application/problem+json")


async def serve(state: FakeState, port: int) -> web.AppRunner:
    """Answer on 127.0.0.1; `cleanup()` of the result ends it."""
    runner = web.AppRunner(FakeBff(state).application(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
    return runner


def prepared(name: str) -> FakeState:
    """A state to look at."""
    state = FakeState()
    state.answers = [an_answer(503, n) for n in range(4)] + [an_answer(400, 40 + n) for n in range(9)]
    state.dead_letters = [a_dead_letter(n) for n in range(3)]
    if name.isdigit():
        state.per_second = float(name)
    elif name == "wrong":
        state.lost = 3
    elif name == "empty":
        state.per_second, state.answers, state.dead_letters = 0, [], []
    elif name == "broken":
        reads = "POST answers 201; GET reads Cassandra, and says that pending transactions may be missing."
        state.set_part("redis", "down", "refuses connections", reads)
        rows = "Nothing: the other nodes store and give every row at quorum."
        state.set_part("cassandra-2", "down", "no answer within 1 s", rows)
        state.set_part("antifraud-1", "degraded", "answers; Envoy does not use it yet")
    return state


async def main(port: int, name: str) -> None:
    """For a look."""
    state = prepared(name)
    await serve(state, port)
    await state.traffic()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
