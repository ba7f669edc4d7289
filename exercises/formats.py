"""The same records in Avro, JSON and Protobuf: how many bytes, how long to write and to read."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from timeit import repeat
from typing import Any, NamedTuple

import fastavro
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from exercises.context import say
from generator.traffic import transactions
from infra.native.paths import CODE

AVRO = CODE / "schemas" / "avro" / "transaction_created.avsc"
PROTO = CODE / "schemas" / "proto" / "transaction_created.proto"
MESSAGE = "payments.TransactionCreated"
COUNT, ROUNDS = 2000, 30
#: Confluent's wire format: a zero byte and the schema's id in four, before every record.
FRAME = 5

Record = Mapping[str, Any]


class Format(NamedTuple):
    """How a format writes and reads a record."""

    name: str
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


class Measured(NamedTuple):
    """Per record, on average; times are the best of several rounds."""

    size: float
    write_us: float
    read_us: float


def records(count: int = COUNT) -> list[dict[str, Any]]:
    """The generator's transactions, as the bff records them."""
    now = int(time.time())
    return [
        {"transaction_id": str(uuid.uuid4()), "event_timestamp": now, **body}
        for body in transactions(count, seed=4)
    ]


def avro_schema() -> dict[str, Any]:
    """The schema of transaction_created."""
    loaded: dict[str, Any] = json.loads(AVRO.read_text())
    return loaded


def _write_avro(schema: Any, record: Record) -> bytes:
    """Avro's bytes alone, without the frame."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema, record)
    return out.getvalue()


def reread_avro(record: Record, old: Any, new: Any) -> Any:
    """What was written with one schema, read with another, as Avro resolves them."""
    writer, reader = (fastavro.parse_schema(dict(schema), named_schemas={}) for schema in (old, new))
    return fastavro.schemaless_reader(io.BytesIO(_write_avro(writer, record)), writer, reader)


def avro() -> Format:
    """fastavro, reading with the schema it was written with."""
    schema = fastavro.parse_schema(avro_schema())
    return Format(
        "Avro",
        lambda record: _write_avro(schema, record),
        lambda data: fastavro.schemaless_reader(io.BytesIO(data), schema, None),
    )


def json_text() -> Format:
    """The standard library's JSON, as short as it gets."""
    return Format("JSON", lambda record: json.dumps(record, separators=(",", ":")).encode(), json.loads)


def protobuf() -> Format:
    """Google's Protobuf: a message is filled field by field, and read back into a dict as the others are."""
    made = message_class(PROTO.read_text())
    names = [field.name for field in made.DESCRIPTOR.fields]

    def read(data: bytes) -> Any:
        message = made.FromString(data)
        return {name: getattr(message, name) for name in names}

    return Format("Protobuf", lambda record: bytes(made(**record).SerializeToString()), read)


def message_class(proto: str) -> Any:
    """The message of a .proto file's text, compiled by protoc now."""
    with TemporaryDirectory() as folder:
        source, compiled = Path(folder) / "transaction.proto", Path(folder) / "compiled"
        source.write_text(proto)
        protoc = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}"]
        subprocess.run([*protoc, f"--descriptor_set_out={compiled}", str(source)], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(files.file[0])
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(MESSAGE))


def compare(formats: Sequence[Format]) -> dict[str, Measured]:
    """Measure each on the same records, check that it gives them back, and print the table."""
    some = records()
    found = {form.name: _measured(form, some) for form in formats}
    say(f"  {COUNT} records of the generator, best of {ROUNDS} rounds, a record:")
    say(f"  {'':<10}{'bytes':>8}{'write us':>10}{'read us':>10}")
    for name, (size, write_us, read_us) in found.items():
        say(f"  {name:<10}{size:>8.0f}{write_us:>10.2f}{read_us:>10.2f}")
    say(f"  (on the topic {FRAME} bytes more for each that uses the registry: a zero and the schema's id)")
    return found


def _measured(form: Format, some: Sequence[Record]) -> Measured:
    written = [form.write(record) for record in some]
    if [form.read(data) for data in written] != list(some):
        raise SystemExit(f"{form.name} does not give the records back")
    writing = min(repeat(lambda: [form.write(record) for record in some], number=1, repeat=ROUNDS))
    reading = min(repeat(lambda: [form.read(data) for data in written], number=1, repeat=ROUNDS))
    count = len(some)
    return Measured(sum(map(len, written)) / count, writing / count * 1e6, reading / count * 1e6)
