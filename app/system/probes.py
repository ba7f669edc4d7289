"""One question to one part, in its own protocol: an open port is not enough, the kernel accepts for a hung process."""

from __future__ import annotations

import asyncio
import struct
import time
from typing import Any

import aiohttp
import grpc
import grpc.aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from redis.asyncio import Redis
from yarl import URL

from app import connections
from app.assessment.client import SERVICE, channel
from app.settings import Settings
from app.system.deadline import DEADLINE, OURS, get
from app.system.envoy import CLUSTER

#: OPTIONS of CQL, protocol version 4: answered by a node itself, before any session.
_FRAME = struct.Struct(">BBhBi")
_OPTIONS, _SUPPORTED = 5, 6
#: Bytes of an answer to OPTIONS; more is something else.
_SUPPORTED_MOST = 65_536
#: Bytes of the registry's list of subjects.
ANSWER_MOST = 1_000_000

_CHANNEL = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
)


class CassandraProbe:
    """OPTIONS on a connection that is kept: the driver notices a node that hangs only after many seconds."""

    def __init__(self, host: str, settings: Settings):
        self._address = host, settings.cassandra_port
        self._tls = connections.tls_context(settings) if settings.cassandra_tls else None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> None:
        """It answers; OSError, EOFError, ValueError."""
        kept, self._streams = self._streams, None
        if kept is None or kept[1].is_closing() or kept[0].at_eof():
            kept = await asyncio.open_connection(*self._address, ssl=self._tls)
        reader, writer = kept
        try:
            writer.write(_FRAME.pack(4, 0, 0, _OPTIONS, 0))
            *_, opcode, length = _FRAME.unpack(await reader.readexactly(_FRAME.size))
            if opcode != _SUPPORTED or not 0 <= length <= _SUPPORTED_MOST:
                raise ValueError("not a CQL server")
            await reader.readexactly(length)
        except BaseException:  # an answer that comes late must not be taken for the next one's
            writer.transport.abort()
            raise
        self._streams = kept

    def close(self) -> None:
        """Disconnect."""
        if self._streams is not None:
            self._streams[1].transport.abort()


class RedisProbe:
    """PING on a connection of its own: it stands in no queue."""

    def __init__(self, settings: Settings):
        self._redis: Any = Redis.from_url(
            **connections.redis(settings),
            socket_timeout=DEADLINE,
            socket_connect_timeout=DEADLINE,
            max_connections=2,
            retry=None,
        )

    async def ask(self) -> None:
        """It answers; RedisError, OSError."""
        await self._redis.ping()

    async def close(self) -> None:
        """Disconnect."""
        await self._redis.aclose()


class ReplicaProbe:
    """The gRPC health of one antifraud replica, asked directly: Envoy takes four seconds to notice one that hangs."""

    def __init__(self, settings: Settings, address: str):
        # Envoy knows it by its address, and its certificate may be for the name of all replicas alone.
        self._channel = channel(settings, address, (*_CHANNEL, ("grpc.ssl_target_name_override", CLUSTER)))
        self._check = health_pb2_grpc.HealthStub(self._channel).Check
        #: Whether it has ever answered: not every network lets a bff reach the replicas.
        self.has_answered = False

    async def ask(self) -> bool | None:
        """Whether it answers that it serves; None when nothing was learnt."""
        began = time.monotonic()
        try:
            answer = await self._check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=DEADLINE)
        except grpc.aio.AioRpcError:
            return None if time.monotonic() - began > DEADLINE + OURS else False
        self.has_answered = True
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def close(self) -> None:
        """Disconnect."""
        await self._channel.close()


async def ask_registry(session: aiohttp.ClientSession, settings: Settings) -> None:
    """It lists its subjects."""
    base = URL(settings.schema_registry_url.get_secret_value())
    tls = connections.tls_context(settings) if base.scheme == "https" else None
    target = base.with_path(f"{base.path.rstrip('/')}/subjects").with_query(base.query)
    await get(session, target, ANSWER_MOST, tls)
