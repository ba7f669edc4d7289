"""Asks a server one question in its own protocol; answers None, or in a few words why it is not ready.

An open port is not enough: the system accepts connections for a process that is stopped or still starting.
"""

import json
import socket
import struct
import time
from http.client import HTTPConnection

from infra.native.ports import Endpoint

DEADLINE = 1.0  # seconds for the whole question


def kafka(endpoint: Endpoint) -> str | None:
    """A metadata answer that names a broker."""
    with _Connection(endpoint) as connection:
        client = b"ready"
        body = struct.pack(">hhih", 3, 1, 1, len(client)) + client + struct.pack(">i", 0)
        connection.send(struct.pack(">i", len(body)) + body)
        _size, _correlation, brokers = struct.unpack(">iii", connection.receive(12))
    return None if brokers > 0 else "no broker registered yet"


def cassandra(endpoint: Endpoint) -> str | None:
    """The node answers a query, and says that it has joined the ring."""
    query = b"SELECT bootstrapped FROM system.local WHERE key='local'"
    with _Connection(endpoint) as connection:
        options = struct.pack(">HH", 1, 11) + b"CQL_VERSION" + struct.pack(">H", 5) + b"3.0.0"
        if _cql(connection, 1, options)[0] != 2:
            return "refuses to start a session"
        opcode, answer = _cql(connection, 7, struct.pack(">i", len(query)) + query + b"\0\x01\0")
    return None if opcode == 8 and b"COMPLETED" in answer else "has not joined the ring"


def redis(endpoint: Endpoint) -> str | None:
    """PONG; while it loads its snapshot it says so."""
    with _Connection(endpoint) as connection:
        connection.send(b"PING\r\n")
        answer = connection.receive_some()
    return None if answer.startswith(b"+PONG") else answer.decode(errors="replace").strip("-\r\n")


def grpc(endpoint: Endpoint) -> str | None:
    """SERVING, in the words of grpc.health.v1."""
    import grpc as library

    with library.insecure_channel(str(endpoint), options=[("grpc.enable_http_proxy", 0)]) as channel:
        check = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer = check(b"", timeout=DEADLINE)
        except library.RpcError as error:
            return str(error.code().name).lower().replace("_", " ")
    return None if answer == b"\x08\x01" else "not serving"


def http(endpoint: Endpoint, path: str) -> str | None:
    """200; else what its answer says about its parts."""
    connection = HTTPConnection(*endpoint, timeout=DEADLINE)
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


def _cql(connection: "_Connection", opcode: int, body: bytes) -> tuple[int, bytes]:
    connection.send(struct.pack(">BBhBi", 4, 0, 0, opcode, len(body)) + body)
    *_, answered, length = struct.unpack(">BBhBi", connection.receive(9))
    return answered, connection.receive(length)


class _Connection:
    """A TCP connection with one deadline for all that happens on it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.until = time.monotonic() + DEADLINE
        self.socket = socket.create_connection(endpoint, timeout=DEADLINE)

    def __enter__(self) -> "_Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive_some(self, most: int = 65536) -> bytes:
        self.socket.settimeout(max(0.001, self.until - time.monotonic()))
        data = self.socket.recv(most)
        if not data:
            raise ConnectionResetError("connection closed")
        return data

    def receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.receive_some(size - len(data))
        return data
