"""Hostile clients: the bff answers them, keeps nothing of them, and repeats nothing that they sent."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from infra.native import stack
from infra.native.paths import LOGS
from reconciliation.readers import PATH, bff_url
from tests.support import hostile, http

JSON = {"Content-Type": "application/json"}
SEED, COUNT = 20211, 10_000
GROWTH_MOST = 20 * 1024 * 1024

#: A word and numbers that appear nowhere else in any log.
WORD = "zanzibar-7f3c"
CENTS, SECOND, LATITUDE, LONGITUDE = 8371946205512, 1517283946, 48.3719462, 77.9173562


def bff() -> str:
    return "main" if stack.current_mode() == "combined" else "bff"


def memory() -> int:
    return int(psutil.Process(stack.pid(bff())).memory_info().rss)


class Written:
    """What all processes have logged since."""

    def __init__(self) -> None:
        self._sizes = {path: path.stat().st_size for path in LOGS.glob("*.log")}

    def since(self, part: str = "*") -> str:
        return "\n".join(self._read(path) for path in sorted(LOGS.glob(f"{part}.log")))

    def _read(self, path: Path) -> str:
        with path.open("rb") as file:
            file.seek(self._sizes.get(path, 0))
            return file.read().decode(errors="replace")


@pytest.fixture
def written() -> Written:
    return Written()


class EndlessHeaders(threading.Thread):
    """A client that sends one header per second while the other tests run; `seconds`: until it was cut off."""

    seconds = 0.0

    def run(self) -> None:
        with opened() as slow:
            slow.sendall(post_head(5))
            began = time.monotonic()
            slow.settimeout(1)
            while self.seconds < 45:
                self.seconds = time.monotonic() - began
                try:
                    slow.sendall(b"X-More: 1\r\n")
                    if slow.recv(100) == b"":
                        return
                except TimeoutError:
                    pass
                except ConnectionError:
                    return


@pytest.fixture(scope="module", autouse=True)
def endless_headers() -> EndlessHeaders:
    client = EndlessHeaders(daemon=True)
    client.start()
    return client


@pytest.mark.long
def test_ten_thousand_hostile_requests_cost_no_500_no_memory_and_no_trace(written: Written) -> None:
    asyncio.run(hostile.send_all(hostile.requests(1, 500)))  # the one-time cost of first requests
    before, good = memory(), http.post()
    answers = asyncio.run(hostile.send_all(hostile.requests(SEED, COUNT)))
    assert not [status for status in answers if status >= 500]
    assert answers.total() == COUNT
    assert {201, 400, 404, 405, 413} <= set(answers)
    assert memory() - before < GROWTH_MOST, answers
    assert "Traceback" not in written.since(bff())
    after = http.post()
    assert (after.status, after.headers.keys(), after.json.keys()) == (
        201,
        good.headers.keys(),
        good.json.keys(),
    )


def bodies_with_the_marks() -> Iterator[bytes]:
    """Bodies with a mark in every field, each wrong in a way that an error text might repeat."""
    good = {
        "value_in_cents": CENTS, "description": WORD, "customer_id": WORD, "merchant_id": WORD,
        "transaction_timestamp": SECOND, "latitude": LATITUDE, "longitude": LONGITUDE,
    }  # fmt: skip
    for name in good:
        for wrong in (
            WORD,
            WORD * 200,
            [WORD],
            {WORD: WORD},
            -CENTS,
            CENTS * 10**9,
            LATITUDE * 1e300 * 1e300,
        ):
            yield json.dumps(
                {**good, name: wrong, "description": wrong if name == "description" else WORD}
            ).encode()
    whole = json.dumps(good).encode()
    yield whole[:-1]
    yield whole.replace(WORD.encode(), WORD.encode() + b"\xff")
    yield b"[" + whole + b"]"
    yield json.dumps(WORD).encode()
    yield json.dumps({**good, "more": WORD * 2000}).encode()


def marks(text: str) -> list[str]:
    return [str(mark) for mark in (WORD, CENTS, SECOND, LATITUDE, LONGITUDE) if str(mark) in text]


def test_no_customers_data_are_in_an_error_or_in_a_log(written: Written) -> None:
    good = http.taken(
        {
            "value_in_cents": CENTS, "description": WORD, "customer_id": WORD, "merchant_id": WORD,
            "transaction_timestamp": SECOND, "latitude": LATITUDE, "longitude": LONGITUDE,
        }
    )  # fmt: skip
    assert marks(json.dumps(http.final(good, within=30)))  # they are where they belong
    refused = 0
    for body in bodies_with_the_marks():
        answer = http.call("POST", PATH, body, JSON)
        assert not marks(answer.body.decode()), answer
        refused += answer.status >= 400
    assert refused > 40
    secret = {**JSON, "Authorization": f"Bearer {WORD}", "Cookie": f"session={WORD}", "X-Long": WORD * 1000}
    assert not marks(http.call("POST", PATH, b"{}", secret).body.decode())
    time.sleep(1)
    assert not marks(written.since())


def opened() -> socket.socket:
    target = urlsplit(bff_url())
    return socket.create_connection((target.hostname, target.port), timeout=60)


def post_head(length: int) -> bytes:
    return f"POST {PATH} HTTP/1.1\r\nHost: bff\r\nContent-Length: {length}\r\n".encode()


def test_a_body_that_does_not_arrive_is_a_408_and_the_connection_ends() -> None:
    with opened() as slow:
        slow.sendall(post_head(500) + b"\r\n{")
        began = time.monotonic()
        answer = slow.recv(10_000)
        assert b" 408 " in answer.splitlines()[0]
        assert b"application/problem+json" in answer
        assert slow.recv(10_000) == b""
        assert 4 < time.monotonic() - began < 12


def test_more_connections_than_the_limit_do_not_lock_others_out(written: Written) -> None:
    held: list[socket.socket] = []
    try:
        held += [opened() for _ in range(850)]
        held[-1].settimeout(10)
        held[-1].sendall(b"GET / HTTP/1.1\r\nHost: bff\r\n\r\n")
        head, _, body = held[-1].recv(10_000).partition(b"\r\n\r\n")
        assert b" 503 " in head.splitlines()[0]
        assert b"Connection: close" in head
        assert b"/problems/too-many-connections" in body
        assert held[-1].recv(1) == b"", "one over the bound is closed"
    finally:
        for one in held:
            one.close()
    time.sleep(0.5)
    assert "Traceback" not in written.since(bff())
    assert http.call("GET").status == 200
    assert http.post().status == 201


@pytest.mark.parametrize("header", [b"X: " + b"a" * 9000, b"X" * 9000 + b": a", b"X: a\r\n" * 200], ids=len)
def test_headers_over_the_limit_are_a_400_in_our_format(header: bytes, written: Written) -> None:
    with opened() as client:
        client.sendall(post_head(0) + header + b"\r\n\r\n")
        answer = client.recv(10_000)
    assert b" 400 " in answer.splitlines()[0]
    assert b"application/problem+json" in answer
    assert b"aaaa" not in answer
    assert "Traceback" not in written.since(bff())


@pytest.mark.long
def test_headers_that_do_not_end_are_cut_off_however_steadily_they_come(
    endless_headers: EndlessHeaders,
) -> None:
    """Last, since it needs half a minute in which the others run."""
    endless_headers.join(60)
    assert 20 < endless_headers.seconds < 45
