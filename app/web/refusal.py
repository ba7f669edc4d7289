"""What a client gets that connects beyond the bound: an answer at once, before it has asked, then the end."""

from __future__ import annotations

import asyncio
import secrets
from email.utils import formatdate

from app.web import request_id
from app.web.problems import unavailable

#: Seconds in which the client can take the answer; its request is read and dropped, else it would see a reset.
LINGER = 1.0
#: Clients that are answered so at once; who comes beyond is closed without a word: each needs a file.
MOST = 100
RETRY_AFTER = 5


class Refusals:
    """Those that are being refused."""

    def __init__(self) -> None:
        self._open: set[Refusal] = set()

    def take(self, transport: asyncio.Transport) -> bool:
        """Refuse this client from now on; False where too many are being refused."""
        if len(self._open) >= MOST or transport.is_closing():
            return False
        one = Refusal(transport, self._open)
        self._open.add(one)
        transport.set_protocol(one)
        transport.write(answer())
        if transport.can_write_eof():  # TLS has no end of one direction: the client reads Connection: close
            transport.write_eof()
        return True


class Refusal(asyncio.Protocol):
    """One connection to its end."""

    def __init__(self, transport: asyncio.Transport, among: set[Refusal]):
        self._among = among
        self._timer = asyncio.get_running_loop().call_later(LINGER, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone, or its time was over."""
        self._timer.cancel()
        self._among.discard(self)


def answer() -> bytes:
    """503 as every other one, as it goes over the wire."""
    id_ = secrets.token_hex(8)
    said = unavailable(
        "Too many connections",
        "no more connections are served here",
        retry_after=RETRY_AFTER,
        members={"request_id": id_},
    )
    body = said.body
    assert isinstance(body, bytes)
    headers = {
        "Content-Type": said.content_type,
        "Content-Length": len(body),
        "Retry-After": RETRY_AFTER,
        "Connection": "close",
        "Date": formatdate(usegmt=True),
        "X-Content-Type-Options": "nosniff",
        request_id.HEADER: id_,
    }
    lines = ["HTTP/1.1 503 Service Unavailable", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
