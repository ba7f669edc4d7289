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

CREATED = "transaction_created"
BATCH_BYTES = 500_000
PARTITIONS = 4


class Record(NamedTuple):
    """A record of transaction_created."""

    key: bytes
    value: bytes


def uuid7(seconds: float) -> str:
    """A UUIDv7 of that time (RFC 9562): 48 bits of milliseconds, the rest random."""
    digits = f"{int(seconds * 1000):012x}{os.urandom(10).hex()}"
    variant = "89ab"[int(digits[16], 16) % 4]
    return f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def backlog(count: int, rate: float, seed: int) -> Iterator[Record]:
    """Transactions as if they had come at `rate` a second until now; the same ones, but for ids, for a seed."""
    schema_id, schema = registered()
    header, began = struct.pack(">bI", 0, schema_id), time.time() - count / rate
    for number, body in enumerate(transactions(count, seed)):
        arrived = began + number / rate
        transaction_id = uuid7(arrived)
        record = {**body, "transaction_id": transaction_id, "event_timestamp": int(arrived)}
        out = BytesIO(header)
        out.seek(len(header))
        fastavro.schemaless_writer(out, schema, record)
        yield Record(transaction_id.encode(), out.getvalue())


def registered() -> tuple[int, Any]:
    """Id and schema of the newest version that the registry has for transaction_created."""
    base = ports.registry_url()
    with urllib.request.urlopen(f"{base}/subjects/{CREATED}-value/versions/latest", timeout=5) as response:  # noqa: S310  # the registry's own address
        answer = json.load(response)
    return answer["id"], fastavro.parse_schema(json.loads(answer["schema"]))


async def feed(records: Iterable[Record]) -> None:
    """Put the records into transaction_created, each partition in order; all are acknowledged on return."""
    brokers = ports.kafka_brokers()
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", max_batch_size=BATCH_BYTES)
    await producer.start()
    try:
        numbers = sorted(await producer.partitions_for(CREATED))
        for number, mine in _by_partition(records, numbers).items():
            await _feed_partition(producer, number, mine)
    finally:
        await producer.stop()


def _by_partition(records: Iterable[Record], numbers: list[int]) -> dict[int, list[Record]]:
    """Each record where a producer that knows its key would put it."""
    partition, found = DefaultPartitioner(), defaultdict[int, list[Record]](list)
    for record in records:
        found[partition(record.key, numbers, numbers)].append(record)
    return found


async def _feed_partition(producer: AIOKafkaProducer, number: int, records: list[Record]) -> None:
    batch, acknowledged = producer.create_batch(), []
    for record in records:
        if batch.append(key=record.key, value=record.value, timestamp=None) is None:
            acknowledged.append(await producer.send_batch(batch, CREATED, partition=number))
            batch = producer.create_batch()
            batch.append(key=record.key, value=record.value, timestamp=None)
    acknowledged.append(await producer.send_batch(batch, CREATED, partition=number))
    for answer in acknowledged:
        await answer
