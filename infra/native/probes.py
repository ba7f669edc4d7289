"""Ask a server one question in its own protocol; return None, or in a few words why it is not ready.

An open port is not enough: the kernel accepts connections for a process that is stopped or still starting.
"""

import json
import socket
import ssl
import struct
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from io import BufferedRWPair
from typing import Any

from infra.native import secure
from infra.native.ports import Endpoint

DEADLINE = 1.0  # seconds for an answer


def kafka(endpoint: Endpoint) -> str | None:
    """A metadata answer that names a broker."""
    if secure.is_on():
        return _secured_kafka(endpoint)
    with _connected(endpoint) as stream:
        client = b"ready"
        body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
        stream.write(struct.pack(">i", len(body)) + body)
        _size, _correlation, brokers = struct.unpack(">iii", _answer(stream, 12))
    return None if brokers > 0 else "no broker registered yet"


def _secured_kafka(endpoint: Endpoint) -> str | None:
    """It says which requests it takes, which needs no name yet."""
    with _connected(endpoint, secure.context()) as stream:
        body = struct.pack(">hhih", 18, 0, 1, -1)
        stream.write(struct.pack(">i", len(body)) + body)
        _size, _correlation, error = struct.unpack(">iih", _answer(stream, 10))
    return f"answers error {error}" if error else None


def cassandra(endpoint: Endpoint) -> str | None:
    """The node answers a query and has joined the ring."""
    query = b"SELECT bootstrapped FROM system.local WHERE key='local'"
    with _connected(endpoint, secure.context() if secure.is_on() else None) as stream:
        options = struct.pack(">HH", 1, 11) + b"CQL_VERSION" + struct.pack(">H", 5) + b"3.0.0"
        answered = _cql(stream, 1, options)[0]
        if answered == 3:  # it asks for a name: a node serves clients once it has joined
            return None
        if answered != 2:
            return "refuses to start a session"
        opcode, answer = _cql(stream, 7, struct.pack(">i", len(query)) + query + b"\0\x01\0")
    return None if opcode == 8 and b"COMPLETED" in answer else "has not joined the ring"


def redis(endpoint: Endpoint) -> str | None:
    """PONG; while it loads its snapshot it says so."""
    with _connected(
        endpoint, secure.context() if secure.is_on() and secure.redis_has_tls() else None
    ) as stream:
        if secure.is_on():
            stream.write(f"AUTH {secure.USER} {secure.password('redis')}\r\n".encode())
            _answer(stream, 1)
            stream.readline()
        stream.write(b"PING\r\n")
        answer = _answer(stream, 1) + stream.readline()
    return None if answer.startswith(b"+PONG") else answer.decode(errors="replace").strip("-\r\n")


def grpc(endpoint: Endpoint) -> str | None:
    """SERVING, by grpc.health.v1."""
    import grpc as library

    options = [("grpc.enable_http_proxy", 0)]
    with _channel(library, str(endpoint), options) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = check(b"", timeout=DEADLINE)
        except library.RpcError as error:
            return str(error.code().name).lower().replace("_", " ")
    return None if answer == b"\x08\x01" else "not serving"


def _channel(library: Any, address: str, options: list[tuple[str, int]]) -> Any:
    if not secure.is_on():
        return library.insecure_channel(address, options)
    files = secure.trusted(), secure.worker().key, secure.worker().certificate
    credentials = library.ssl_channel_credentials(*(file.read_bytes() for file in files))
    return library.secure_channel(address, credentials, options)


def secured_http(endpoint: Endpoint, path: str) -> str | None:
    """200, over TLS, with the stack's name and password."""
    connection = HTTPSConnection(*endpoint, timeout=DEADLINE, context=secure.context())
    word = b64encode(f"{secure.USER}:{secure.password('registry')}".encode()).decode()
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {word}"})
        status = connection.getresponse().status
        return None if status == 200 else f"HTTP {status}"
    finally:
        connection.close()


def http(endpoint: Endpoint, path: str, *, tls: bool = False) -> str | None:
    """200; else the dependencies that its answer names. Over TLS whoever answers is ready: nothing secret is sent."""
    connection = HTTPConnection(*endpoint, timeout=DEADLINE)
    if tls:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(*endpoint, timeout=DEADLINE, context=context)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return None if response.status == 200 else _parts(response.read(10_000)) or f"HTTP {response.status}"
    finally:
        connection.close()


def _parts(body: bytes) -> str:
    try:
        parts = json.loads(body)["parts"]
        return "; ".join(f"{part}: {state}" for part, state in parts.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


@contextmanager
def _connected(endpoint: Endpoint, tls: ssl.SSLContext | None = None) -> Iterator[BufferedRWPair]:
    with socket.create_connection(endpoint, DEADLINE) as plain:
        connection = tls.wrap_socket(plain, server_hostname=endpoint.host) if tls else plain
        with connection, connection.makefile("rwb") as stream:
            yield stream


def _answer(stream: BufferedRWPair, size: int) -> bytes:
    stream.flush()
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionResetError("connection closed")
    return data


def _cql(stream: BufferedRWPair, opcode: int, body: bytes) -> tuple[int, bytes]:
    stream.write(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
    *_, answered, length = struct.unpack(">BBhBi", _answer(stream, 9))
    return answered, _answer(stream, length)
