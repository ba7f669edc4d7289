"""What the HTTP and the latency benchmark count, and how little their client needs."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from benchmarks import http_load, meanwhile, web_load, web_report
from benchmarks.finality import watching
from benchmarks.lean_http import Answer, Client, _Connection
from benchmarks.meanwhile import Look
from benchmarks.result import Figure
from benchmarks.stages import Stacks
from benchmarks.web_load import Kind, Plan, Shot
from benchmarks.web_sides import BARE, BFF, FASTAPI

STACKS: Stacks = {("start (aiohttp/web_protocol.py)",): 3, ("run (app/read_model/pending_writer.py)",): 1}
HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n"


class Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: Any) -> None:
        self.written += data


def test_an_answer_may_come_in_any_pieces() -> None:
    async def situation() -> None:
        whole = HEAD + b'{"id": "ab"}'
        for cut in (5, len(HEAD) - 2, len(HEAD), len(whole) - 1):
            connection = _Connection()
            connection.connection_made(Wire())
            call = asyncio.create_task(connection.call(b"GET"))
            await asyncio.sleep(0)
            connection.data_received(whole[:cut])
            assert not call.done()
            connection.data_received(whole[cut:])
            assert await call == Answer(201, b'{"id": "ab"}')

    asyncio.run(situation())


def test_a_connection_that_the_server_has_closed_meanwhile_is_not_waited_for() -> None:
    async def situation() -> None:
        connection = _Connection()
        connection.connection_made(wire := Wire())
        wire.closed = True
        with pytest.raises(ConnectionError):
            await asyncio.wait_for(connection.call(b"GET"), 1)

    asyncio.run(situation())


def test_a_call_that_finds_no_free_connection_waits_in_its_turn() -> None:
    async def situation() -> None:
        connection = _Connection()
        connection.connection_made(wire := Wire())
        calls = Client("http://127.0.0.1:1", [connection])
        asked = [asyncio.create_task(calls.get(f"/{number}")) for number in range(3)]
        for number in range(3):
            await asyncio.sleep(0.001)
            assert wire.written.count(b"GET") == number + 1
            connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        assert [(await call).body for call in asked] == [b"0", b"1", b"2"]

    asyncio.run(situation())


class Bff:
    """Shows each transaction as final from a moment on."""

    def __init__(self, final_at: dict[str, float]) -> None:
        self._final_at = final_at

    async def get(self, path: str) -> Answer:
        status = "accepted" if time.perf_counter() >= self._final_at[path.rpartition("/")[2]] else "pending"
        return Answer(200, json.dumps({"status": status}).encode())


def test_the_time_of_one_that_is_followed_runs_from_when_it_was_due_and_its_lateness_is_known() -> None:
    async def situation() -> None:
        now = time.perf_counter()
        bff = cast(Client, Bff({"a": now + 0.05, "b": now + 0.1}))
        async with watching(bff, 0.002) as watch:
            watch.follow("a", due=now - 0.1)
            watch.follow("b", due=now)
            assert await watch.all_final(5) == 0
        of_b, of_a = sorted(watch.seen.took)
        assert of_b >= 0.1
        assert of_a >= 0.15  # 0.05 after it was sent, which was 0.1 after it was due
        assert all(0 < late < 0.1 for late in watch.seen.late)  # since the last GET, not since it was due
        assert watch.seen.gets < 80

    asyncio.run(situation())


def test_one_that_never_becomes_final_is_counted() -> None:
    async def situation() -> None:
        async with watching(cast(Client, Bff({"a": float("inf")})), 0.002) as watch:
            watch.follow("a", due=time.perf_counter())
            assert await watch.all_final(0.02) == 1

    asyncio.run(situation())


METRICS = """\
# TYPE payments_step_seconds histogram
payments_step_seconds_bucket{step="publish",le="+Inf"} 7
payments_step_seconds_sum{step="publish"} %s
payments_step_seconds_count{step="publish"} %s
# TYPE payments_batch_records histogram
payments_batch_records_bucket{topic="transaction_created",le="+Inf"} 7
payments_batch_records_sum{topic="transaction_created"} %s
payments_batch_records_count{topic="transaction_created"} %s
"""


def looked(at: float, cores: float, *values: float) -> Look:
    sums, counts = dict[str, float](), dict[str, float]()
    meanwhile.read(METRICS % values, sums, counts)
    return Look(at, {"kafka": cores * at}, sums, counts)


def test_what_the_stack_did_is_of_the_time_between_two_looks() -> None:
    before, after = looked(100, 0.5, 4, 200, 900, 300), looked(110, 0.5, 5, 250, 1000, 350)
    did = meanwhile.between(before, after)
    assert (did.rounds, did.records, did.busy) == (5, 2, 0.5)
    assert did.steps == {"decide": 0, "publish": 20, "store": 0, "remember": 0}


def test_a_run_counts_answers_after_its_start_and_knows_the_wrong_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Server:
        """Each POST takes 10 ms, each third one fails."""

        posts = 0

        async def post(self, path: str, body: bytes) -> Answer:
            assert (path, body) == ("/transactions", b"{}")
            self.posts += 1
            status = 201 if self.posts % 3 else 503
            await asyncio.sleep(0.01)
            return Answer(status, b"")

    server = Server()

    @asynccontextmanager
    async def client(url: str, connections: int) -> AsyncIterator[Server]:
        assert (url, connections) == ("http://bff", 2)
        yield server

    monkeypatch.setattr(web_load, "client", client)
    kind = Kind("POST", "/transactions", 201, b"{}")
    run = asyncio.run(web_load.shoot("http://bff", kind, 2, warm=0.1, seconds=0.1))
    assert run.wrong == server.posts // 3
    assert run.acknowledged + run.wrong == server.posts
    assert run.rate * 0.1 < 0.8 * server.posts  # half of them came before the start
    assert 9 <= run.p50 <= run.p99 <= run.most


def shot(rate: float = 100, acknowledged: int = 500, wrong: int = 0) -> Shot:
    return Shot(rate, 1, 2, 3, acknowledged, wrong)


@pytest.mark.parametrize(
    ("written", "dead_lettered", "said"),
    [(1000, 0, 0), (1001, 0, 1), (999, 0, 1), (1000, 1, 1), (999, 1, 2)],
)
def test_each_201_has_its_record_and_nothing_else_has(written: int, dead_lettered: int, said: int) -> None:
    shots = {
        ("POST", BFF, 1): [shot()],
        ("POST", FASTAPI, 16): [shot()],
        ("POST", BARE, 64): [shot(acknowledged=9999)],
    }
    assert len(http_load.lost(shots, written, dead_lettered)) == said


def test_ratios_are_of_runs_of_the_same_round_and_a_wrong_answer_is_a_fault() -> None:
    shots = {
        (kind, side, c): [shot(rate * number) for number in (1, 2, 3)]
        for kind in ("GET by id", "GET newest 100", "POST")
        for side, rate in ((BARE, 1000.0), (FASTAPI, 250.0), (BFF, 500.0))
        for c in (1, 16, 64)
    }
    shots["POST", FASTAPI, 16] = [shot(250.0, wrong=1), shot(500.0), shot(750.0)]
    made = web_report.result(shots, Plan(3, 1, 5, 4, 9), ["one"], STACKS)
    figures: dict[str, Figure] = {figure.name: figure for figure in made.figures}
    assert figures["of the bare handler's rate, 64 connections"].rounds == [0.5, 0.5, 0.5]
    assert figures["of FastAPI + aiokafka's rate, 1 connections"].value == 2
    assert not [figure.name for figure in made.figures if figure.missed]
    assert len(made.faults) == 2
    assert [table.title for table in made.tables][:3] == ["POST", "GET by id", "GET newest 100"]
    assert made.tables[3].rows[2:4] == [["Redis", "25.0%"], ["HTTP", "75.0%"]]
