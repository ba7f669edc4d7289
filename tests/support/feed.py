"""Creates a backlog faster than HTTP can: records written straight to transaction_created."""

from __future__ import annotations

import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Any

import fastavro
from aiokafka.partitioner import DefaultPartitioner

from generator.traffic import transaction
from tests.support import log

_by_key = DefaultPartitioner()


def new_id(at: float | None = None) -> str:
    """A UUIDv7 of this moment, or of `at`."""
    millis = int((time.time() if at is None else at) * 1000)
    number = int.from_bytes(os.urandom(10), "big") & ~(0xF << 76) & ~(0b11 << 62)
    return str(uuid.UUID(int=millis << 80 | 0x7 << 76 | 0b10 << 62 | number))


def record(transaction_id: str) -> dict[str, Any]:
    """A transaction of the generator's kind, as the bff would have written it."""
    return {
        **transaction(random.Random(transaction_id)),
        "transaction_id": transaction_id,
        "event_timestamp": int(time.time()),
    }


def partition_of(transaction_id: str) -> int:
    """The partition that the bff would choose: its customer's."""
    partition: int = _by_key(record(transaction_id)["customer_id"].encode(), range(log.PARTITIONS), ())
    return partition


class Feed:
    """Encodes with the registry's newest schema."""

    def __init__(self) -> None:
        self.schema_id, schema = log.latest_schema(log.CREATED)
        self.schema = fastavro.parse_schema(schema)

    def value(self, transaction_id: str, changes: Mapping[str, Any] | None = None) -> bytes:
        return log.framed(self.schema_id, self.schema, {**record(transaction_id), **(changes or {})})

    def send(self, count: int) -> dict[str, log.Place]:
        """Send new transactions; returns where each one is."""
        ids = [new_id() for _ in range(count)]
        # All are made before the first one is sent: otherwise a worker that is free keeps up with us.
        places = log.produce([(partition_of(id_), id_.encode(), self.value(id_)) for id_ in ids])
        return dict(zip(ids, places, strict=True))


def lowest(places: Mapping[str, log.Place]) -> log.Offsets:
    """Each partition's first offset of these."""
    firsts: log.Offsets = {}
    for place in places.values():
        firsts[place.partition] = min(place.offset, firsts.get(place.partition, place.offset))
    return firsts


def spread(places: Mapping[str, log.Place]) -> Counter[int]:
    """How many of these each partition has."""
    return Counter(place.partition for place in places.values())
