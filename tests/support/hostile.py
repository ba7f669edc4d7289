"""Requests that no honest client sends, reproducible from a seed."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from reconciliation.readers import PATH, bff_url
from tests.support.http import EXAMPLE, Answer

AT_ONCE = 20
#: Seconds for an answer: a truncated request gets none before the bff's own time-out.
PATIENCE = 1.0

VALUES: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**300, 1e308, -0.0, 1.5, float("nan"),
    float("inf"), "", " ", "0", "x" * 255, "x" * 256, "x" * 1001, "x" * 15_000, "\0", "\ud800", "\u202e", "💣" * 100,
    "'; DROP TABLE transactions; --", "${jndi:ldap://x}", "%s%n%x", "../../etc/passwd", [], {}, [[]], {"a": {"b": []}},
]  # fmt: skip
HEADERS = [
    b"Content-Length: -1",
    b"Content-Length: 99999999999999999999",
    b"Content-Length: abc",
    b"Content-Length: 5\r\nContent-Length: 6",
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: nonsense",
    b"Transfer-Encoding: chunked\r\nContent-Length: 3",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Content-Encoding: br",
    b"Content-Encoding: nonsense",
    b"Expect: 100-continue",
    b"Expect: nonsense",
    b"Content-Type: \xff\xfe",
    b"Content-Type: application/json; charset=nonsense",
    b"Content-Type: text/xml",
    b"Content-Type:",
    b"X: " + b"a" * 9000,
    b"X" * 9000 + b": a",
    b": empty",
    b"no colon",
    b"X: \0",
    b"Upgrade: websocket\r\nConnection: Upgrade",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
    b"Range: bytes=0-",
    b"Host: a\r\nHost: b",
    b"Accept: text/html",
    b"If-None-Match: *",
    b"Cookie: " + b"a=b; " * 800,
    b"\r\n",
    b"Access-Control-Request-Method: POST\r\nOrigin: http://x",
    b"\r\n".join(b"X-%d: 1" % n for n in range(300)),
]
METHODS = [
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"get",
    b"GET\0",
    b"",
    b"A" * 5000,
]
TARGETS = [
    b"/",
    b"//",
    b"/metrics",
    b"/health/live",
    b"/health/ready",
    b"*",
    b"http://x/",
    b"/\xff",
    b"/%",
    b"/%00",
    b"/../..",
    b"/" + b"a" * 9000,
    b"/" + b"a/" * 500,
    PATH.encode() + b"/",
    PATH.encode() + b"/%2e%2e%2f",
    PATH.encode() + b"/" + b"%41" * 300,
    PATH.encode() + b"?limit=1&limit=2",
    PATH.encode() + b"?cursor=%ff&limit=%00",
    PATH.encode() + b"?" + b"a=b&" * 1000,
]
VERSIONS = [b"HTTP/1.1"] * 6 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"", b"HTTP/1.1 x"]


def requests(seed: int, count: int) -> Iterator[bytes]:
    """So many requests, as bytes."""
    dice = random.Random(seed)
    kinds = [
        _fuzzed,
        _fuzzed,
        _random_body,
        _noise,
        _headers,
        _headers,
        _elsewhere,
        _elsewhere,
        _query,
        _cut_short,
    ]
    for _ in range(count):
        yield dice.choices(kinds, weights=[10] * 9 + [1])[0](dice)


def _request(method: bytes, target: bytes, body: bytes = b"", headers: Iterable[bytes] = ()) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (method, target), b"Host: bff", b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _post(body: bytes, headers: Iterable[bytes] = ()) -> bytes:
    length = b"Content-Length: %d" % len(body)
    return _request(b"POST", PATH.encode(), body, [length, b"Content-Type: application/json", *headers])


def _fuzzed(dice: random.Random) -> bytes:
    fields: dict[Any, Any] = dict(EXAMPLE)
    for _ in range(dice.randint(1, 3)):
        name = dice.choice(list(EXAMPLE))
        if dice.random() < 0.2:
            fields.pop(name, None)
        else:
            fields[dice.choice([name, name, name, "", "__proto__", "x" * 300])] = dice.choice(VALUES)
    text = json.dumps(fields).encode()
    if dice.random() < 0.2:
        text = text[: dice.randrange(len(text))]
    if dice.random() < 0.1:
        text = b"[" * dice.randint(1, 5000) + text
    return _post(text)


def _random_body(dice: random.Random) -> bytes:
    return _post(dice.randbytes(dice.randint(0, 20_000)))


def _noise(dice: random.Random) -> bytes:
    return dice.randbytes(dice.randint(1, 2000)) + b"\r\n\r\n"


def _headers(dice: random.Random) -> bytes:
    body = json.dumps({**EXAMPLE, "value_in_cents": 0}).encode()
    chosen = dice.sample(HEADERS, dice.randint(1, 3))
    if dice.random() < 0.5:
        return _post(body, chosen)
    return _request(
        b"POST", PATH.encode(), dice.choice([body, b"zz\r\n", b"5\r\nabcde\r\n0\r\n\r\n", b""]), chosen
    )


def _elsewhere(dice: random.Random) -> bytes:
    line = b" ".join([dice.choice(METHODS), dice.choice(TARGETS), dice.choice(VERSIONS)])
    return line + b"\r\nHost: bff\r\nConnection: close\r\n\r\n"


def _query(dice: random.Random) -> bytes:
    junk = dice.choice(
        [dice.randbytes(20).hex().encode(), b"%" + dice.randbytes(2).hex().encode() * 9, b"-1", b"9" * 50]
    )
    name = dice.choice([b"limit", b"cursor", b"cursor", b"", b"id"])
    return _request(b"GET", PATH.encode() + (b"/" + junk if name == b"id" else b"?" + name + b"=" + junk))


def _cut_short(dice: random.Random) -> bytes:
    whole = _post(json.dumps(EXAMPLE).encode())
    return whole[: dice.randrange(len(whole))]


async def send_all(many: Iterable[bytes]) -> Counter[int]:
    """Send each on its own connection, some concurrently; the answers by status, 0 for none."""
    return Counter(answer.status for answer in await answers(many, PATIENCE))


async def answers(many: Iterable[bytes], patience: float) -> list[Answer]:
    """The same, with what was answered; `patience`: seconds for each."""
    waiting = iter(many)

    async def client() -> list[Answer]:
        return [await _sent(request, patience) for request in waiting]

    return list(chain.from_iterable(await asyncio.gather(*(client() for _ in range(AT_ONCE)))))


async def _sent(request: bytes, patience: float) -> Answer:
    target = urlsplit(bff_url())
    reader, writer = await asyncio.open_connection(target.hostname, target.port)
    try:
        async with asyncio.timeout(patience):
            writer.write(request)
            return await _answer(reader, has_body=not request.startswith(b"HEAD "))
    except (TimeoutError, ConnectionError, asyncio.IncompleteReadError):
        return Answer(0, {}, b"")
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, has_body: bool) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").strip().split("\r\n")
    if not line.startswith("HTTP/1."):
        return Answer(0, {}, b"")
    status = int(line.split()[1])
    if status == 100:  # not yet an answer
        return await _answer(reader, has_body)
    headers = dict(header.split(": ", 1) for header in lines)
    length = int(headers.get("Content-Length", 0)) if has_body else 0
    return Answer(status, headers, await reader.readexactly(length))
