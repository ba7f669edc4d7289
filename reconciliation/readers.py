"""Reads each store that can hold a transaction, from outside: nothing here knows how the app does it."""

import asyncio
import io
import json
import os
import struct
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Container, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from uuid import UUID

import aiohttp
import fastavro
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile, Session
from cassandra.concurrent import execute_concurrent_with_args
from cassandra.io.libevreactor import LibevConnection
from cassandra.policies import RoundRobinPolicy
from cassandra.query import SimpleStatement

from infra.native import ports
from infra.native.ports import cassandra_hosts, cassandra_port

Ids = Collection[str]

AT_A_TIME = 16  # concurrent calls to a server that serves others meanwhile
TRIES, AGAIN_AFTER = 3, 1.0  # of a GET that is answered 503; seconds, as Retry-After says
START_WITHIN = 15.0
ONE_BY_ONE = 2_000  # for more ids, reading the whole table is faster
PAGE = 100
CLOCKS_APART = 60_000  # milliseconds
PATH = "/api/v1/transactions"


class Verdict(NamedTuple):
    """The content of one status record; records for one revision may repeat it, but never differ."""

    revision: int
    status: str
    score: float | None
    reason: str | None
    model_version: str | None


def bff_url() -> str:
    """Where the bff answers."""
    return os.environ.get("BFF_URL", "http://127.0.0.1:5001")


async def created(ids: Container[str]) -> dict[str, int]:
    """How many records each id has in transaction_created."""
    count = Counter([record["transaction_id"] async for record in records("transaction_created", ids)])
    return dict(count)


async def published(ids: Ids) -> dict[str, list[Verdict]]:
    """The verdicts of each id in transaction_status, oldest first."""
    verdicts = defaultdict(list)
    async for record in records("transaction_status", ids):
        said = Verdict(*(record[field] for field in Verdict._fields))
        verdicts[record["transaction_id"]].append(said)
    return dict(verdicts)


async def stored(ids: Ids) -> dict[str, str]:
    """The status of each id's row in Cassandra, found as in the exercises: by id alone."""
    return await asyncio.to_thread(_stored, ids)


async def listed(ids: Ids) -> dict[str, str]:
    """The status of each id in the pages of GET, newest first, until all are found or the pages end."""
    found: dict[str, str] = {}
    query = {"limit": str(PAGE)}
    async with aiohttp.ClientSession(raise_for_status=True) as session:
        while len(found) < len(ids):
            async with session.get(bff_url() + PATH, params=query) as response:
                page = await response.json()
            found |= {
                t["transaction_id"]: t["status"] for t in page["transactions"] if t["transaction_id"] in ids
            }
            if not page["next_cursor"]:
                break
            query["cursor"] = page["next_cursor"]
    return found


async def shown(ids: Ids) -> dict[str, str]:
    """The status that GET shows for each id; unknown ids are left out."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=AT_A_TIME)) as session:
        statuses = await asyncio.gather(*(status_of(session, id_) for id_ in ids))
    return {id_: status for id_, status in zip(ids, statuses, strict=True) if status}


async def status_of(session: aiohttp.ClientSession, id_: str) -> str | None:
    """The status in GET of one id; None for a 404, and where all tries end in a 503: no store shows it yet."""
    for tries_left in reversed(range(TRIES)):
        async with session.get(f"{bff_url()}{PATH}/{id_}") as response:
            if response.status == 404:
                return None
            if response.status != 503:
                response.raise_for_status()
                return str((await response.json())["status"])
        if tries_left:
            await asyncio.sleep(AGAIN_AFTER)
    return None


async def records(
    topic: str, ids: Container[str], start: Mapping[int, int] | None = None
) -> AsyncIterator[dict[str, Any]]:
    """The decoded records of these ids, to where the topic ends now.

    `start`: from these offsets, by partition. Otherwise from when the oldest id was made, if all are UUIDv7s, or
    from the topic's beginning.
    """
    schemas: dict[int, Any] = {}
    async with aiohttp.ClientSession(raise_for_status=True) as registry:
        async for record in _raw_records(topic, start or {}, made(ids)):
            if _id_of(record) in ids:
                yield await _decoded(record.value, schemas, registry)


def _id_of(record: ConsumerRecord[bytes, bytes]) -> str:
    """The transaction_id: a record of transaction_created is keyed by its customer, and has the id in a header."""
    id_ = next((value for name, value in record.headers if name == "transaction_id"), record.key)
    return (id_ or b"").decode(errors="replace")


def made(ids: Container[str]) -> int | None:
    """When the oldest was created, in ms since 1970, less a clock difference; None if an id carries no time."""
    times = [millis_of(id_) for id_ in ids] if isinstance(ids, Collection) else []
    known = [millis for millis in times if millis is not None]
    return min(known) - CLOCKS_APART if known and len(known) == len(times) else None


def millis_of(id_: str) -> int | None:
    """The time in a UUIDv7."""
    try:
        found = UUID(id_)
    except ValueError:
        return None
    return found.int >> 80 if found.version == 7 else None


async def _raw_records(
    topic: str, start: Mapping[int, int], since: int | None
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    brokers = ports.kafka_brokers()
    # without a group all partitions are ours, and nothing is committed
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=brokers, auto_offset_reset="earliest", isolation_level="read_committed"
    )
    try:
        await _start(consumer, topic)
        partitions = consumer.assignment()
        ends = await consumer.end_offsets(partitions)
        if since is not None and not start:
            found = await consumer.offsets_for_times(dict.fromkeys(partitions, since))
            start = {tp.partition: place.offset if place else ends[tp] for tp, place in found.items()}
        for partition in partitions:
            if partition.partition in start:
                consumer.seek(partition, start[partition.partition])
        while left := [p for p in partitions if await consumer.position(p) < ends[p]]:
            for records in (await consumer.getmany(*left, timeout_ms=1000)).values():
                for record in records:
                    yield record
    finally:
        await consumer.stop()


async def _start(consumer: AIOKafkaConsumer, topic: str) -> None:
    try:
        async with asyncio.timeout(START_WITHIN):  # it would wait for ever for a topic that does not exist
            await consumer.start()
    except TimeoutError:
        raise LookupError(f"no topic {topic}, or none that leads it") from None


async def _decoded(value: bytes, schemas: dict[int, Any], registry: aiohttp.ClientSession) -> dict[str, Any]:
    """Confluent's wire format: a zero byte, the schema's id in four, then Avro."""
    magic, number = struct.unpack(">bI", value[:5])
    if magic != 0:
        raise ValueError(f"not Confluent's wire format: {value[:5]!r}")
    if number not in schemas:
        url = ports.registry_url()
        async with registry.get(f"{url}/schemas/ids/{number}") as response:
            answer = json.loads(await response.text())
        schemas[number] = fastavro.parse_schema(json.loads(answer["schema"]))
    record: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(value[5:]), schemas[number], None)
    return record


def _stored(ids: Ids) -> dict[str, str]:
    with session() as connected:
        rows = _by_id(connected, ids) if len(ids) <= ONE_BY_ONE else _whole_table(connected)
        return {id_: status for id_, status in rows if id_ in ids}


@contextmanager
def session() -> Iterator[Session]:
    """Connected to Cassandra for a while, in the keyspace, to read at LOCAL_QUORUM."""
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(),
        consistency_level=ConsistencyLevel.LOCAL_QUORUM,
        request_timeout=20,
    )
    cluster = Cluster(
        cassandra_hosts(),
        port=cassandra_port(),
        connection_class=LibevConnection,
        execution_profiles={EXEC_PROFILE_DEFAULT: profile},
    )
    try:
        yield cluster.connect("transactions")
    finally:
        cluster.shutdown()


def _by_id(session: Session, ids: Ids) -> Iterator[tuple[str, str]]:
    query = session.prepare("SELECT transaction_id, status FROM transactions WHERE transaction_id = ?")
    answers = execute_concurrent_with_args(session, query, [(id_,) for id_ in ids], concurrency=AT_A_TIME)
    for _, rows in answers:
        yield from rows


def _whole_table(session: Session) -> Iterator[tuple[str, str]]:
    query = SimpleStatement("SELECT transaction_id, status FROM transactions", fetch_size=5_000)
    yield from session.execute(query)
