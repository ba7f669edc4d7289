"""Malformed records: each is decided or a dead letter, and the good one behind it is decided."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from app.messaging import topics
from app.messaging.codec import Codec
from app.messaging.dead_letters import MOST, dead_letter_of
from app.models.status import TransactionStatus
from app.processing.assignment import MicroBatch
from app.processing.back_pressure import Batch
from app.processing.dead_letter_limit import DeadLetterLimit
from app.processing.pipeline import DeadLetter
from tests.unit.samples import transaction
from tests.unit.test_pipeline import FakePorts, driven, pipeline
from tests.unit.virtual_time import run

COUNT, AT_ONCE, SEED = 20_000, 400, 18
SCHEMA = topics.load_schema(topics.CREATED)
LOGICAL = ["uuid", "timestamp-millis", "date", "decimal", "time-micros", "duration", "no such"]
TYPES: list[Any] = [
    "null",
    "boolean",
    "int",
    "long",
    "float",
    "double",
    "bytes",
    "string",
    "no such",
    7,
    None,
]


def schema_like(rng: random.Random) -> Any:
    """Ours with a field changed, added, left out or doubled, or no record at all."""
    kind = rng.choice(TYPES)
    changed: Any = rng.choice(
        [
            {"type": kind, "logicalType": rng.choice(LOGICAL), "precision": rng.randrange(-2, 9)},
            ["null", kind],
            {"type": "array", "items": kind},
            {"type": "map", "values": "transaction_created"},
            {"type": "fixed", "name": "F", "size": rng.randrange(-1, 40)},
            {"type": "enum", "name": "E", "symbols": ["A"]},
            kind,
        ]
    )
    fields = [dict(field) for field in SCHEMA["fields"]]
    where = rng.randrange(len(fields))
    if rng.random() < 0.3:  # the same bytes, and a library's own idea of what they are
        logical = "uuid" if fields[where]["type"] == "string" else "timestamp-millis"
        fields[where]["type"] = {"type": fields[where]["type"], "logicalType": logical}
        return {**SCHEMA, "fields": fields}
    fields[where]["type"] = changed
    if rng.random() < 0.3:
        fields.insert(where, {"name": "more", "type": changed})
    if rng.random() < 0.1:
        del fields[where]
    return rng.choice([{**SCHEMA, "fields": fields}] * 8 + [changed, [SCHEMA, "null"]])


class World(FakePorts):
    """The real codecs; dead letters and statuses are put into aiokafka's batches."""

    def __init__(self, schemas: dict[int, Any]) -> None:
        super().__init__()

        async def fetch(schema_id: int) -> Any:
            return schemas.get(schema_id)

        self.created = Codec(SCHEMA, 1, fetch)
        self.status = Codec(topics.load_schema(topics.STATUS), 1, fetch)

    async def decode(self, values: Sequence[Any]) -> list[Any]:
        return await self.created.decode(values)

    async def publish(self, partition: int, statuses: Sequence[TransactionStatus]) -> Sequence[int]:
        for status in statuses:
            self.status.encode(status)
        return await super().publish(partition, statuses)

    async def dead_letter(self, dead_letters: Sequence[DeadLetter]) -> None:
        for dead_letter in dead_letters:
            builder = DefaultRecordBatchBuilder(2, 0, 0, 0, 0, 0, 900_000)
            builder.append(0, 0, *dead_letter_of(dead_letter.record, dead_letter.reason))
            assert builder.size() < MOST
        await super().dead_letter(dead_letters)


def value_like(rng: random.Random, good: bytes) -> bytes | None:
    """Noise, or a good record cut, lengthened, overwritten, doubled, with another frame."""
    where, some = rng.randrange(len(good)), rng.randbytes(rng.randrange(1, 40))
    frame = struct.pack(
        ">bI", rng.choice([0, 0, 0, 1, -1]), rng.choice([1, rng.randrange(2, 300), rng.getrandbits(32)])
    )
    return rng.choice(
        [
            None,
            some,
            good[:where],
            good + some,
            good[:where] + some + good[where + len(some) :],
            good[:5] + some,
            frame + good[5:],
            frame + some,
            good + good,
            good,
        ]
    )


def headers_like(rng: random.Random) -> tuple[Any, ...]:
    names = [
        "traceparent",
        "",
        "\udcff",
        "dead_letter.topic",
        "dead_letter.sent_back",
        "idempotent",
        "ü" * 300,
    ]
    return tuple(
        (rng.choice(names), rng.choice([None, b"", b"1", rng.randbytes(9)])) for _ in range(rng.randrange(3))
    )


def record_of(offset: int, value: bytes | None, headers: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(
        topic=topics.CREATED, partition=0, offset=offset, key=b"k", value=value, headers=headers, timestamp=0
    )


def test_each_of_20_000_spoiled_records_is_decided_or_a_dead_letter_and_a_good_one_behind_is_decided() -> (
    None
):
    rng = random.Random(SEED)
    ports = World({number: schema_like(rng) for number in range(2, 300)})
    limit = DeadLetterLimit(COUNT, 1.0)
    one = pipeline(ports, 0, limit=limit)

    def good(offset: int) -> bytes:
        return ports.created.encode(transaction(transaction_id=f"{offset:036d}"))

    async def main() -> None:
        for start in range(0, COUNT, AT_ONCE):
            records = [
                record_of(start + n, value_like(rng, good(start + n)), headers_like(rng))
                for n in range(AT_ONCE - 1)
            ]
            behind = f"good behind {start}"
            end = start + AT_ONCE
            records.append(record_of(end - 1, ports.created.encode(transaction(transaction_id=behind))))
            micro_batch = MicroBatch([Batch(topics.CREATED, 0, records, end)])
            await driven(one, micro_batch)
            assert ports.stored[-1]["transaction_id"] == behind

    run(main())
    assert len(ports.stored) > COUNT / 20
    assert len(ports.dead_lettered) > COUNT / 2
    assert len({dead_letter.reason for dead_letter in ports.dead_lettered}) > 50
    duplicates = COUNT - len(ports.stored) - len(ports.dead_lettered)
    assert 0 <= duplicates < COUNT / 10
