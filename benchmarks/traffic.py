"""A backlog of transactions, encoded as the bff encodes them and put straight into Kafka."""

import json
import os
import struct
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, NamedTuple

import fastavro
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from generator.traffic import transactions
from infra.native import ports

CREATED, STATUS = "transaction_created", "transaction_status"
BATCH_BYTES = 500_000
PARTITIONS = 4
NUMBERS = list(range(PARTITIONS))


class Record(NamedTuple):
    """A record of one of the topics, both of which have a transaction in the same partition, its customer's."""

    partition: int
    key: bytes
    value: bytes
    transaction_id: str
    traceparent: bytes | None = None


def uuid7(seconds: float) -> str:
    """A UUIDv7 of that time (RFC 9562): 48 bits of milliseconds, the rest random."""
    digits = f"{int(seconds * 1000):012x}{os.urandom(10).hex()}"
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


class Schema:
    """The newest schema that the registry has for a topic, with Confluent's frame around each record."""

    def __init__(self, topic: str):
        url = f"{ports.registry_url()}/subjects/{topic}-value/versions/latest"
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  # the registry's own address
            answer = json.load(response)
        self._frame = struct.pack(">bI", 0, answer["id"])
        self._schema = fastavro.parse_schema(json.loads(answer["schema"]))

    def encode(self, content: dict[str, Any]) -> bytes:
        out = BytesIO()
        out.write(self._frame)
        fastavro.schemaless_writer(out, self._schema, content)
        return out.getvalue()


def arrived(count: int, rate: float, seed: int) -> Iterator[dict[str, Any]]:
    """Transactions as if they had come at `rate` a second until now; the same ones, but for ids, for a seed."""
    began = time.time() - count / rate
    for number, body in enumerate(transactions(count, seed)):
        at = began + number / rate
        yield {**body, "transaction_id": uuid7(at), "event_timestamp": int(at)}


def encoded(some: Iterable[dict[str, Any]]) -> Iterator[Record]:
    """Transactions as records of transaction_created."""
    schema = Schema(CREATED)
    for one in some:
        yield created(one, schema)


def created(one: dict[str, Any], schema: Schema) -> Record:
    """A transaction as the bff writes it."""
    key = one["customer_id"].encode()
    return Record(partition_of(key), key, schema.encode(one), one["transaction_id"])


def sampled(records: Iterable[Record], share: float) -> Iterator[Record]:
    """The records, and evenly among them so many with the header of a bff that has sampled their POSTs."""
    due = 0.0
    for record in records:
        if (due := due + share) >= 1:
            due -= 1
            trace, span = os.urandom(16).hex(), os.urandom(8).hex()
            record = record._replace(traceparent=f"00-{trace}-{span}-01".encode())
        yield record


def backlog(count: int, rate: float, seed: int) -> Iterator[Record]:
    """Both."""
    return encoded(arrived(count, rate, seed))


def partition_of(key: bytes) -> int:
    """Where a producer that knows the key would put it."""
    partition: int = DefaultPartitioner()(key, NUMBERS, NUMBERS)
    return partition


async def feed(records: Iterable[Record], topic: str = CREATED) -> None:
    """Put the records into the topic, each partition in order; all are acknowledged on return."""
    by_partition = defaultdict[int, list[Record]](list)
    for record in records:
        by_partition[record.partition].append(record)
    producer = AIOKafkaProducer(
        bootstrap_servers=ports.kafka_brokers(), acks="all", max_batch_size=BATCH_BYTES
    )
    await producer.start()
    try:
        for number, mine in by_partition.items():
            await _feed_partition(producer, topic, number, mine)
    finally:
        await producer.stop()


async def _feed_partition(producer: AIOKafkaProducer, topic: str, number: int, records: list[Record]) -> None:
    batch, acknowledged = producer.create_batch(), []
    for record in records:
        if _append(batch, record) is None:
            acknowledged.append(await producer.send_batch(batch, topic, partition=number))
            batch = producer.create_batch()
            _append(batch, record)
    acknowledged.append(await producer.send_batch(batch, topic, partition=number))
    for answer in acknowledged:
        await answer


def _append(batch: Any, record: Record) -> Any:
    headers = [("transaction_id", record.transaction_id.encode())]
    if record.traceparent:
        headers.append(("traceparent", record.traceparent))
    return batch.append(key=record.key, value=record.value, timestamp=None, headers=headers)
