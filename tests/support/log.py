"""Kafka and the registry from outside: read topics, write records that the bff would not, move a group's offsets."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import io
import json
import struct
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, TypeVar

import fastavro
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import KafkaError

from exercises.registry import call
from infra.native import ports

CREATED, STATUS, DEAD_LETTER = "transaction_created", "transaction_status", "transaction_created.dead_letter"
LABEL = "transaction_label"
PARTITIONS = 4
COUNTED_BY_READING = 3_000  # records
ANSWERS_WITHIN = 90.0  # seconds, for reading a whole topic

Offsets = dict[int, int]  # partition -> offset
Record = Any  # aiokafka's ConsumerRecord: it has no types
T = TypeVar("T")


class Place(NamedTuple):
    """Where a record is."""

    partition: int
    offset: int


def registry(path: str, body: Mapping[str, Any] | None = None, method: str | None = None) -> tuple[int, Any]:
    """A call to the schema registry: status and answer."""
    return call(method or ("GET" if body is None else "POST"), path, None if body is None else dict(body))


def latest_schema(topic: str) -> tuple[int, dict[str, Any]]:
    """Id and schema of the topic's newest version in the registry."""
    status, answer = registry(f"/subjects/{topic}-value/versions/latest")
    assert status == 200, answer
    return int(answer["id"]), dict(json.loads(answer["schema"]))


def framed(schema_id: int, schema: Any, record: Mapping[str, Any]) -> bytes:
    """Confluent's wire format."""
    out = io.BytesIO()
    out.write(struct.pack(">bI", 0, schema_id))
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue()


def decoded(value: bytes) -> dict[str, Any]:
    """The record in a framed value, read with the schema of its id."""
    magic, schema_id = struct.unpack(">bI", value[:5])
    assert magic == 0, value[:5]
    record = fastavro.schemaless_reader(io.BytesIO(value[5:]), _schema(schema_id), None)
    return dict(record)


@cache
def _schema(schema_id: int) -> Any:
    """An id never gets another meaning."""
    status, answer = registry(f"/schemas/ids/{schema_id}")
    assert status == 200, answer
    return fastavro.parse_schema(json.loads(answer["schema"]))


def ends(topic: str) -> Offsets:
    """Where each partition ends."""

    async def ask(consumer: Any) -> Offsets:
        found = await consumer.end_offsets(_partitions(topic))
        return {tp.partition: offset for tp, offset in found.items()}

    return _KAFKA.with_consumer(ask)


def total(topic: str) -> int:
    """How many records the topic has ever had."""
    return sum(ends(topic).values())


def read(topic: str, since: Offsets | None = None) -> list[Record]:
    """The records from these offsets (else the beginning) to where the topic ends now."""

    async def fetch(consumer: Any) -> list[Record]:
        consumer.assign(_partitions(topic))
        await consumer.seek_to_beginning()
        for partition, offset in (since or {}).items():
            consumer.seek(TopicPartition(topic, partition), offset)
        last = await consumer.end_offsets(_partitions(topic))
        records: list[Record] = []
        while left := [tp for tp in last if await consumer.position(tp) < last[tp]]:
            for found in (await consumer.getmany(*left, timeout_ms=50)).values():
                records += found
        return records

    return asyncio.run(_with_new_consumer(fetch))


def id_of(record: Record) -> bytes | None:
    """The transaction_id: of a record that is keyed by its customer, in its header."""
    found = next((value for name, value in record.headers if name == "transaction_id"), record.key)
    return None if found is None else bytes(found)


def produce(
    records: Iterable[tuple[int, bytes | None, bytes | None]], topic: str = CREATED, codec: str | None = None
) -> list[Place]:
    """Write (partition, key, value), one batch per partition, compressed by `codec`; returns where each is."""

    async def send() -> list[Place]:
        producer = AIOKafkaProducer(
            bootstrap_servers=ports.kafka_brokers(),
            acks="all",
            linger_ms=20,
            max_batch_size=800_000,
            compression_type=codec,
        )
        await producer.start()
        try:
            sent = [await producer.send(topic, value, key, partition) for partition, key, value in records]
            return [Place(done.partition, done.offset) for done in await asyncio.gather(*sent)]
        finally:
            await producer.stop()

    return asyncio.run(send())


def committed(group: str, topic: str = CREATED) -> Offsets:
    """The group's committed offsets."""

    async def ask(admin: Any) -> Offsets:
        found = await admin.list_consumer_group_offsets(group)
        return {tp.partition: meta.offset for tp, meta in found.items() if tp.topic == topic}

    return _KAFKA.with_admin(ask)


def lag(group: str, topic: str = CREATED) -> int:
    """How many records the group is behind, without transaction markers, which have offsets too.

    Thousands are not read to be counted: then it is the number of offsets, markers included.
    """
    done = dict.fromkeys(range(PARTITIONS), 0) | committed(group, topic)
    behind = sum(end - done[partition] for partition, end in ends(topic).items())
    return len(read(topic, done)) if 0 < behind <= COUNTED_BY_READING else behind


def rewind(group: str, offsets: Offsets, topic: str = CREATED) -> None:
    """Commit these offsets for a group without members."""

    async def commit() -> None:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=ports.kafka_brokers(), group_id=group, enable_auto_commit=False
        )
        await consumer.start()
        try:
            consumer.assign([TopicPartition(topic, partition) for partition in offsets])
            await consumer.commit({TopicPartition(topic, p): offset for p, offset in offsets.items()})
        finally:
            await consumer.stop()

    asyncio.run(commit())


def members(group: str, topic: str = CREATED) -> list[list[int]]:
    """The partitions of the topic that each member of the group has."""

    async def ask(admin: Any) -> list[list[int]]:
        (response,) = await admin.describe_consumer_groups([group])
        ((_, _, _, _, _, found, *_),) = response.groups
        given = [member[4] for member in found]  # empty for a member in the middle of a rebalance
        assignments = [
            ConsumerProtocolMemberAssignment.decode(raw).assignment if raw else [] for raw in given
        ]
        return [[p for name, ps in assignment if name == topic for p in ps] for assignment in assignments]

    return _KAFKA.with_admin(ask)


def leader_of_most(topic: str) -> int:
    """The node that leads most of its partitions."""

    async def ask(admin: Any) -> int:
        (described,) = await admin.describe_topics([topic])
        ((node, _),) = Counter(one["leader"] for one in described["partitions"]).most_common(1)
        return int(node)

    return _KAFKA.with_admin(ask)


def settings(topic: str) -> dict[str, str]:
    """What was set on the topic itself."""
    own = 1  # DescribeConfigs' source of a topic's own setting

    async def ask(admin: Any) -> dict[str, str]:
        (response,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)])
        ((_, _, _, _, found),) = response.resources
        return {name: value for name, value, _, source, *_ in found if source == own}

    return _KAFKA.with_admin(ask)


def set_settings(topic: str, values: Mapping[str, str]) -> None:
    """Exactly these, and no others."""

    async def alter(admin: Any) -> None:
        wanted = ConfigResource(ConfigResourceType.TOPIC, topic, dict(values))
        (response,) = await admin.alter_configs([wanted])
        assert [code for code, *_ in response.resources] == [0], response

    _KAFKA.with_admin(alter)


def wait_until(holds: Callable[[], bool], within: float, what: str) -> None:
    """Ask again until it holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.05)


def _partitions(topic: str) -> Sequence[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]


async def _with_new_consumer(ask: Callable[[Any], Awaitable[T]]) -> T:
    """For reading: a consumer that has read before first waits half a second for its last fetches."""
    consumer = _new_consumer()
    try:
        await consumer.start()
        return await ask(consumer)
    finally:
        await consumer.stop()


class _Kafka:
    """One consumer and one admin client for everything except reading: a new client per poll costs 100 ms."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._clients: dict[Callable[[], Any], Any] = {}
        self._turns = threading.Lock()  # a consumer has one assignment

    def with_consumer(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        return self._with(_new_consumer, ask)

    def with_admin(self, ask: Callable[[Any], Awaitable[T]]) -> T:
        return self._with(_new_admin, ask)

    def _with(self, make: Callable[[], Any], ask: Callable[[Any], Awaitable[T]]) -> T:
        with self._turns:
            if not self._thread.is_alive():
                self._thread.start()
            is_new = make not in self._clients
            try:
                return self._run(self._asked(make, ask))
            except (KafkaError, OSError, TimeoutError):
                self._run(self._drop(make))
                if is_new:
                    raise
            # The broker may have been killed since: an old connection says nothing about it.
            return self._run(self._asked(make, ask))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(ANSWERS_WITHIN)

    async def _asked(self, make: Callable[[], Any], ask: Callable[[Any], Awaitable[T]]) -> T:
        if make not in self._clients:
            client = make()
            try:
                await client.start()
            except BaseException:
                await _end(client)
                raise
            self._clients[make] = client
        return await ask(self._clients[make])

    def close(self) -> None:
        """At the end of all tests."""
        for make in list(self._clients):
            self._run(self._drop(make))

    async def _drop(self, make: Callable[[], Any]) -> None:
        if client := self._clients.pop(make, None):
            await _end(client)


async def _end(client: Any) -> None:
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        await asyncio.wait_for(client.stop() if hasattr(client, "stop") else client.close(), 5)


def _new_consumer() -> Any:
    return AIOKafkaConsumer(
        bootstrap_servers=ports.kafka_brokers(),
        enable_auto_commit=False,
        isolation_level="read_committed",
        request_timeout_ms=10_000,
        fetch_max_wait_ms=50,
    )


def _new_admin() -> Any:
    return AIOKafkaAdminClient(bootstrap_servers=ports.kafka_brokers(), request_timeout_ms=10_000)


_KAFKA = _Kafka()
atexit.register(_KAFKA.close)
