"""Decided transactions written straight into both topics, as if a bff and a worker had done it long ago."""

import io
import json
import random
import struct
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import fastavro
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

from benchmarks import progress, stage, traffic
from generator.traffic import transaction
from infra.native import ports
from infra.native.paths import ROOT

CREATED, STATUS = "transaction_created", "transaction_status"
READERS = {"transactions": CREATED, "bff": STATUS}
#: Transactions a second of the time they are spread over.
DENSITY = 500
BATCH = 2000
DECISION = {"status": "accepted", "revision": 1, "score": 0.75, "reason": None}
ASSESSED_BY = {"model_version": "benchmark", "threshold": 0.5, "replica": "antifraud-1"}


async def in_the_log(count: int) -> None:
    """So many more in both topics, read by the workers' groups as far as these know; the stores have none of them."""
    for part in READERS:
        stage.stop(part)
    await write(count)
    for part in READERS:
        stage.start(part)


class Schema:
    """A topic's schema, as the registry knows it; encodes with Confluent's frame."""

    def __init__(self, topic: str):
        text = (ROOT / "schemas" / "avro" / f"{topic}.avsc").read_text()
        url = ports.registry_url()
        body = json.dumps({"schema": text}).encode()
        call = Request(  # noqa: S310  # our own registry
            f"{url}/subjects/{topic}-value/versions", body, {"Content-Type": "application/json"}
        )
        with urlopen(call, timeout=10) as response:  # noqa: S310
            self._header = struct.pack(">bI", 0, json.load(response)["id"])
        self._schema = fastavro.parse_schema(json.loads(text))

    def encode(self, record: dict[str, Any]) -> bytes:
        """One framed record."""
        out = io.BytesIO()
        out.write(self._header)
        fastavro.schemaless_writer(out, self._schema, record)
        return out.getvalue()


def transactions(count: int) -> Iterator[dict[str, Any]]:
    """Of the generator's kind, one after another up to now."""
    rng, now = random.Random(1), time.time()
    for number in range(count):
        at = now - (count - number) / DENSITY
        bits = int(at * 1000) << 80 | 0x7 << 76 | rng.getrandbits(12) << 64 | 0b10 << 62 | rng.getrandbits(62)
        yield {**transaction(rng), "transaction_id": str(uuid.UUID(int=bits)), "event_timestamp": int(at)}


async def write(count: int) -> None:
    """Each asked and told, as if workers had done it."""
    schemas = {topic: Schema(topic) for topic in READERS.values()}
    producer = AIOKafkaProducer(bootstrap_servers=progress.BROKERS, acks=1, max_batch_size=900_000)
    await producer.start()
    partition_of, partitions = DefaultPartitioner(), list(range(traffic.PARTITIONS))
    asked: dict[int, list[dict[str, Any]]] = {number: [] for number in range(traffic.PARTITIONS)}
    async with progress.group() as group:
        offsets = {tp.partition: end for tp, end in (await group.ends(CREATED)).items()}
    try:
        for one in transactions(count):
            number = partition_of(one["transaction_id"].encode(), partitions, ())
            asked[number].append(one)
            if len(asked[number]) == BATCH:
                await _write(producer, schemas, number, asked[number], offsets)
        for number, rest in asked.items():
            await _write(producer, schemas, number, rest, offsets)
    finally:
        await producer.stop()
    for name, topic in READERS.items():
        async with progress.group(name, topic) as group:
            await group.skip()


async def _write(
    producer: AIOKafkaProducer,
    schemas: dict[str, Schema],
    number: int,
    records: list[dict[str, Any]],
    offsets: dict[int, int],
) -> None:
    published = [
        {
            **one,
            **DECISION,
            **ASSESSED_BY,
            "decided_at": one["event_timestamp"] * 1000 + 50,
            "source_partition": number,
            "source_offset": offsets[number] + index,
        }
        for index, one in enumerate(records)
    ]
    for topic, those in ((CREATED, records), (STATUS, published)):
        batch = producer.create_batch()
        for one in those:
            content = {"key": one["transaction_id"].encode(), "value": schemas[topic].encode(one)}
            if batch.append(timestamp=None, **content) is None:
                await (await producer.send_batch(batch, topic, partition=number))
                batch = producer.create_batch()
                batch.append(timestamp=None, **content)
        await (await producer.send_batch(batch, topic, partition=number))
    offsets[number] += len(records)
    records.clear()
