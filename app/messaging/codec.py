"""Confluent-framed Avro to records and back: magic byte 0, schema id (4 bytes), Avro."""

from __future__ import annotations

import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, NamedTuple

import fastavro

from app.errors import Poison, Transient
from app.messaging.foreign_schema import parsed

_HEADER = struct.Struct(">bI")
#: Confluent's ids are Java's positive integers; a registry may answer anything to a larger one.
_IDS_END = 2**31
#: Seconds for which a schema that cannot be read by is not asked for again, and how many such ids are remembered.
NO_FOR = 10.0
_NOES_MOST = 10_000

#: Gives the schema of an id from the registry, or None for an id it does not know; raises LogUnavailable, or Poison
#: for what is no Avro schema.
Fetch = Callable[[int], Awaitable[Any]]


class Codec:
    """Encodes with one registered schema; decodes what any registered schema wrote, as our schema reads it."""

    def __init__(
        self, schema: Mapping[str, Any], schema_id: int | None, fetch: Fetch, *, before: str | None = None
    ):
        """`schema_id`: our schema's in the registry; without it this one only decodes.

        `before`: a field at which reading ends, of ours and of any schema that has ours before it: what is behind it
        costs nothing.
        """
        self._before = before
        self._schema = self._cut(fastavro.parse_schema(dict(schema), named_schemas={}))
        self._around = _around(self._schema)
        self._last_behind: tuple[list[tuple[type, Any]], bytes] = [], b""
        self._header = b"" if schema_id is None else _HEADER.pack(0, schema_id)
        self._schema_id, self._fetch = schema_id, fetch
        # Reading with our own schema needs no resolution: fastavro then skips a compare at every record.
        self._readers: dict[int, tuple[Any, Any]] = {}
        if schema_id is not None:
            self._readers[schema_id] = (self._schema, None)
        self._noes: dict[int, tuple[float, str]] = {}  # until when, why; the oldest first

    def until(self, field: str) -> Codec:
        """One that decodes the same, up to that field."""
        return Codec(self._schema, self._schema_id, self._fetch, before=field)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """One framed record; Poison when a value does not fit the schema.

        A record in it may have the bytes that Avro writes for it, as its attribute `avro`: then these are taken.
        """
        if not self._header or self._before:
            raise RuntimeError("this codec only decodes")
        out = BytesIO(self._header)
        out.seek(len(self._header))
        try:
            self._write(out, record)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as exc:
            raise Poison(f"the record does not fit the schema: {exc}") from exc
        return out.getvalue()

    def _write(self, out: BytesIO, record: Mapping[str, Any]) -> None:
        if self._around and (written := getattr(record.get(self._around.field), "avro", None)) is not None:
            fastavro.schemaless_writer(out, self._around.before, record)
            out.write(written)
            out.write(self._behind(self._around, record))
        else:
            fastavro.schemaless_writer(out, self._schema, record)

    def _behind(self, around: _Around, record: Mapping[str, Any]) -> bytes:
        """What is behind its record in it, written; the last one's bytes, where it is the same as in the last one."""
        values = [(type(value), value) for value in map(record.get, around.names_after)]
        if values != self._last_behind[0]:
            out = BytesIO()
            fastavro.schemaless_writer(out, around.after, record)
            self._last_behind = values, out.getvalue()
        return self._last_behind[1]

    async def decode(self, values: Iterable[bytes | None]) -> list[Any]:
        """A record (dict) or the Poison it is, for each value, in order; LogUnavailable without the registry."""
        return [await self._decode(value) for value in values]

    async def _decode(self, value: bytes | None) -> dict[str, Any] | Poison:
        try:
            return await self._decoded(value)
        except Poison as poison:
            return poison
        except Transient:
            raise
        except Exception as exc:  # noqa: BLE001  # whatever a record makes a library raise is this record's end alone
            return Poison(f"it could not be read: {_named(exc)}")

    async def _decoded(self, value: bytes | None) -> dict[str, Any]:
        schema_id = schema_id_of(value)
        writer, reader = self._readers.get(schema_id) or await self._learn(schema_id)
        body = BytesIO(value)  # type: ignore[arg-type]  # schema_id_of refused None
        body.seek(_HEADER.size)
        record: dict[str, Any] = _read(body, writer, reader, schema_id)
        if body.tell() != len(value) and not self._before:  # type: ignore[arg-type]
            raise Poison(f"bytes left over after a record of schema {schema_id}")
        return record

    async def _learn(self, schema_id: int) -> tuple[Any, Any]:
        until, why = self._noes.get(schema_id, (0.0, ""))
        if time.monotonic() < until:
            raise Poison(why)
        try:
            reader = self._readers[schema_id] = (
                self._cut(await self._writer(schema_id), _fields(self._schema)),
                self._schema,
            )
        except Poison as poison:
            self._remember_no(schema_id, str(poison))
            raise
        return reader

    async def _writer(self, schema_id: int) -> Any:
        try:
            written = await self._fetch(schema_id)
            if written is not None:
                return parsed(written)
        except (Poison, Transient):
            raise
        except Exception as exc:  # what is in the registry may be no Avro at all
            raise Poison(f"schema {schema_id} is no Avro schema we can read: {_named(exc)}") from exc
        raise Poison(f"schema {schema_id} is not in the registry")

    def _cut(self, schema: Any, wanted: Sequence[str] = ()) -> Any:
        names = _fields(schema)
        if self._before not in names:
            return schema
        kept = names.index(self._before)
        return {**schema, "fields": schema["fields"][:kept]} if {*wanted} <= {*names[:kept]} else schema

    def _remember_no(self, schema_id: int, why: str) -> None:
        self._noes.pop(schema_id, None)
        if len(self._noes) >= _NOES_MOST:
            del self._noes[next(iter(self._noes))]
        self._noes[schema_id] = time.monotonic() + NO_FOR, why


async def readable(codec: Codec, records: Sequence[Any]) -> list[tuple[int, Any]]:
    """These records of one partition, each with its offset, without those that cannot be read; LogUnavailable."""
    found = await codec.decode([record.value for record in records])
    return [
        (record.offset, one)
        for record, one in zip(records, found, strict=True)
        if not isinstance(one, Poison)
    ]


class _Around(NamedTuple):
    """A schema's field that is a record, and schemas of what is before and behind it."""

    field: str
    before: Any
    after: Any
    names_after: Sequence[str]


def _around(schema: Any) -> _Around | None:
    """The first such field; None: there is none."""
    fields = schema.get("fields", []) if isinstance(schema, dict) else []
    for at, field in enumerate(fields):
        if isinstance(field["type"], dict) and field["type"]["type"] == "record":
            before, after = ({**schema, "fields": some} for some in (fields[:at], fields[at + 1 :]))
            return _Around(field["name"], before, after, _fields(after))
    return None


def _fields(schema: Any) -> list[str]:
    """The names of a record's fields; none where the schema is of no record."""
    return [field["name"] for field in schema.get("fields", [])] if isinstance(schema, dict) else []


def _named(exc: Exception) -> str:
    return f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__


def schema_id_of(value: bytes | None) -> int:
    """The id of the schema that wrote a record; Poison."""
    if value is None or len(value) < _HEADER.size:
        raise Poison("too short for a schema id: not Confluent-framed Avro")
    magic, schema_id = _HEADER.unpack_from(value)
    if magic != 0:
        raise Poison(f"first byte is {magic}, not 0: not Confluent-framed Avro")
    if schema_id >= _IDS_END:
        raise Poison(f"{schema_id} is no schema id: not Confluent-framed Avro")
    return int(schema_id)


def _read(body: BytesIO, writer: Any, reader: Any, schema_id: int) -> dict[str, Any]:
    try:
        return fastavro.schemaless_reader(body, writer, reader)  # type: ignore[no-any-return]
    except Exception as exc:  # fastavro raises what the bytes lead it to, from EOFError to IndexError
        raise Poison(f"not a record of schema {schema_id}: {_named(exc)}") from exc
