"""The codec: Confluent-framed Avro; what cannot be read is a Poison with a reason, never another exception."""

import asyncio
import random
import struct
from collections.abc import Mapping
from typing import Any

import pytest

from app.errors import LogUnavailable, Poison
from app.messaging import topics
from app.messaging.codec import Codec
from tests.unit.samples import status, transaction

CREATED = topics.load_schema(topics.CREATED)
STATUS = topics.load_schema(topics.STATUS)


def newer(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with a field added that has a default."""
    return {**schema, "fields": [*schema["fields"], {"name": "currency", "type": "string", "default": "BRL"}]}


def codec_of(
    schema: Mapping[str, Any] = CREATED,
    number: int = 1,
    before: str | None = None,
    **registry: Mapping[str, Any] | Exception,
) -> Codec:
    """A codec; `registry` holds the other schemas as n2=…, n3=…"""

    async def fetch(wanted: int) -> Mapping[str, Any] | None:
        found = registry.get(f"n{wanted}")
        if isinstance(found, Exception):
            raise found
        return found

    codec = Codec(schema, number, fetch)
    return codec.until(before) if before else codec


def decoded(codec: Codec, *values: bytes | None) -> list[Any]:
    return asyncio.run(codec.decode(values))


def reason(codec: Codec, value: bytes | None) -> str:
    """Why a value is poison."""
    (poison,) = decoded(codec, value)
    assert isinstance(poison, Poison)
    return str(poison)


def test_a_record_is_framed_with_a_zero_and_its_schemas_id() -> None:
    framed = codec_of(number=0x01020304).encode(transaction())
    assert framed[:5] == b"\x00\x01\x02\x03\x04"
    assert framed[5:] == codec_of(number=9).encode(transaction())[5:]


@pytest.mark.parametrize(
    ("schema", "record"), [(CREATED, transaction()), (STATUS, status()), (STATUS, status(score=None))]
)
def test_what_was_encoded_is_decoded_to_the_same(schema: dict[str, Any], record: Any) -> None:
    codec = codec_of(schema)
    assert decoded(codec, codec.encode(record)) == [record]


@pytest.mark.parametrize("value", [1, 2**31, 1_345_454_553, 2**63 - 1, -(2**63)])
def test_cents_and_times_have_64_bits(value: int) -> None:
    codec, record = codec_of(), transaction(value_in_cents=value, transaction_timestamp=value)
    assert decoded(codec, codec.encode(record)) == [record]


def test_an_old_record_is_read_by_a_newer_schema_which_gives_the_new_field_its_default() -> None:
    old = codec_of(number=1).encode(transaction())
    codec = codec_of(newer(CREATED), 2, n1=CREATED)
    assert decoded(codec, old) == [{**transaction(), "currency": "BRL"}]


def test_a_newer_record_is_read_by_the_older_schema_without_what_it_does_not_know() -> None:
    new = codec_of(newer(CREATED), 2).encode({**transaction(), "currency": "EUR"})
    assert decoded(codec_of(number=1, n2=newer(CREATED)), new) == [transaction()]


def test_old_and_new_records_stand_side_by_side_in_one_batch() -> None:
    codec = codec_of(newer(CREATED), 2, n1=CREATED)
    new = codec.encode({**transaction(), "currency": "EUR"})
    currencies = [record["currency"] for record in decoded(codec, codec_of().encode(transaction()), new)]
    assert currencies == ["BRL", "EUR"]


@pytest.mark.parametrize("written_by", [1, 2, 3])
def test_up_to_a_field_a_record_is_read_whichever_schema_wrote_it(written_by: int) -> None:
    names = [field["name"] for field in STATUS["fields"]]
    older = {**STATUS, "fields": STATUS["fields"][: names.index("history")]}
    wrote: Any = {1: STATUS, 2: newer(STATUS), 3: older}
    record: Any = {**status(), "currency": "EUR"}
    codec = codec_of(STATUS, 1, "history", n2=wrote[2], n3=wrote[3])
    (found,) = decoded(codec, codec_of(wrote[written_by], written_by).encode(record))
    assert found == {name: record[name] for name in names[: names.index("history")]}


def test_what_ends_before_that_field_is_poison_all_the_same() -> None:
    whole = codec_of(STATUS).encode(status())
    assert "EOF" in reason(codec_of(STATUS, 1, "history"), whole[:60])


def test_who_reads_a_part_writes_nothing() -> None:
    with pytest.raises(RuntimeError, match="only decodes"):
        codec_of(STATUS, 1, "history").encode(status())


def test_a_schema_is_requested_once() -> None:
    asked: list[int] = []

    async def fetch(wanted: int) -> Mapping[str, Any] | None:
        asked.append(wanted)
        return CREATED

    old = codec_of(number=1).encode(transaction())
    decoded(Codec(newer(CREATED), 2, fetch), old, old, old)
    assert asked == [1]


def test_an_unreachable_registry_is_a_reason_to_wait_not_poison() -> None:
    codec = codec_of(n2=LogUnavailable("the registry is down"))
    with pytest.raises(LogUnavailable):
        decoded(codec, codec_of(number=2).encode(transaction()))


GOOD = codec_of().encode(transaction())


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (None, "too short"),
        (b"", "too short"),
        (GOOD[:4], "too short"),
        (GOOD[:5], "not a record of schema 1"),
        (GOOD[:-1], "not a record of schema 1"),
        (b"\x01" + GOOD[1:], "first byte is 1"),
        (b"\xff" + GOOD[1:], "first byte is -1"),
        (b'{"transaction_id": "a"}', "first byte is 123"),
        (GOOD + b"\x00", "bytes left over"),
        (struct.pack(">bI", 0, 77) + GOOD[5:], "schema 77 is not in the registry"),
        (struct.pack(">bI", 0, 2) + GOOD[5:], "schema 2 is no Avro schema"),
        (struct.pack(">bI", 0, 3) + b"\x02", "not a record of schema 3"),
        (GOOD.replace(b"some purchase", b"some \xff\xfe rchase"), "not a record of schema 1"),
    ],
)
def test_what_cannot_be_read_is_poison_with_its_reason(value: bytes | None, says: str) -> None:
    assert says in reason(codec_of(n2={"type": "no such type"}, n3={"type": "string"}), value)


def test_poison_leaves_its_neighbours_in_place() -> None:
    first, poison, last = decoded(codec_of(), GOOD, b"rubbish", GOOD)
    assert first == last == transaction()
    assert isinstance(poison, Poison)


def spoiled(rng: random.Random, good: bytes) -> bytes:
    """Random bytes, or a good record cut, lengthened, overwritten."""
    where, some = rng.randrange(len(good)), rng.randbytes(rng.randrange(1, 40))
    return rng.choice(
        [some, good[:5] + some, good[:where], good + some, good[:where] + some + good[where + len(some) :]]
    )


def test_of_two_thousand_spoiled_values_each_is_a_record_or_poison() -> None:
    rng = random.Random(1)
    codec = codec_of(STATUS, n2=CREATED, n3={"type": "string"})
    good = [codec.encode(status()), codec.encode(status(score=None, reason="antifraud_unavailable"))]
    results = decoded(codec, *(spoiled(rng, rng.choice(good)) for _ in range(2_000)))
    poison = [result for result in results if isinstance(result, Poison)]
    assert all(set(result) == set(status()) for result in results if not isinstance(result, Poison))
    assert len(poison) > 1_000
    assert all(str(one) for one in poison)


@pytest.mark.parametrize(
    "changes",
    [
        {"value_in_cents": 2**63},
        {"value_in_cents": "1"},
        {"value_in_cents": None},
        {"latitude": "north"},
        {"latitude": None},
        {"latitude": 10**400},
        {"description": None},
        {"description": 5},
        {"description": b"bytes"},
        {"description": "\ud800"},
        {"status": "weird"},
        {"score": "high"},
    ],
)
def test_a_value_that_does_not_fit_is_refused_when_it_is_encoded(changes: dict[str, Any]) -> None:
    with pytest.raises(Poison, match="does not fit the schema"):
        codec_of(STATUS).encode(status(**changes))


@pytest.mark.parametrize("record", [None, [], 5, {}, {"transaction_id": "a"}])
def test_an_incomplete_record_is_refused_when_it_is_encoded(record: Any) -> None:
    with pytest.raises(Poison, match="does not fit the schema"):
        codec_of().encode(record)


# Schemas of other producers


def with_types(**types: Any) -> dict[str, Any]:
    """The schema of transaction_created with other types of these fields."""
    return {**CREATED, "fields": [{**f, "type": types.get(f["name"], f["type"])} for f in CREATED["fields"]]}


def logical(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


@pytest.mark.parametrize(
    "types",
    [
        {"transaction_id": logical("string", "uuid")},
        {"transaction_timestamp": logical("long", "timestamp-millis")},
        {"event_timestamp": logical("long", "local-timestamp-micros")},
        {"event_timestamp": logical("int", "date")},
        {"event_timestamp": logical("int", "time-millis")},
        {"description": logical("bytes", "decimal", precision=4, scale=2)},
        {"customer_id": ["null", logical("string", "uuid")]},
        {"value_in_cents": logical("long", "nobody knows it")},
    ],
)
def test_logical_types_of_a_writer_are_read_as_our_schema_says(types: dict[str, Any]) -> None:
    schema = with_types(**types)
    framed = codec_of(without_logical(schema), 2).encode(
        {**transaction(), "description": b"some purchase"} if "description" in types else transaction()
    )
    assert decoded(codec_of(n2=schema), framed) == [transaction()]


def without_logical(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: without_logical(part) for name, part in schema.items() if name != "logicalType"}
    return [without_logical(part) for part in schema] if isinstance(schema, list) else schema


NODE = {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
NOTHING = {"type": "record", "name": "Nothing", "fields": [{"name": "nothing", "type": "null"}]}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (NODE, "holds itself"),
        ({"type": "array", "items": NODE}, "holds itself"),
        ({"type": "array", "items": "null"}, "array of nothing"),
        ({"type": "map", "values": {"type": "array", "items": NOTHING}}, "array of nothing"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}, "array of nothing"),
    ],
)
def test_a_schema_that_a_few_bytes_could_make_endless_is_not_used(more: Any, says: str) -> None:
    schema = {**CREATED, "fields": [{"name": "more", "type": more}, *CREATED["fields"]]}
    assert says in reason(codec_of(n2=schema), b"\0\0\0\0\2" + b"\2" * 1_000_000)


def test_a_newer_field_of_a_list_a_map_or_a_record_is_skipped() -> None:
    inner = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": ["null", "string"]}]}
    lists = {"type": "array", "items": {"type": "map", "values": inner}}
    more = [{"name": "more", "type": lists}, {"name": "again", "type": "Inner"}]
    schema = {**CREATED, "fields": [*CREATED["fields"], *more]}
    record = {**transaction(), "more": [{"x": {"a": "y"}}], "again": {"a": None}}
    assert decoded(codec_of(n2=schema), codec_of(schema, 2).encode(record)) == [transaction()]


@pytest.mark.parametrize(
    "raised", [ValueError("what"), KeyError("schema"), RecursionError(), AssertionError()]
)
def test_whatever_reading_one_record_raises_is_reported_by_its_name(raised: Exception) -> None:
    first, poison, last = decoded(codec_of(n2=raised), GOOD, b"\0\0\0\0\2" + GOOD[5:], GOOD)
    assert first == last == transaction()
    assert isinstance(poison, Poison)
    assert type(raised).__name__ in str(poison)


def test_an_impossible_schema_id_is_not_requested() -> None:
    codec = codec_of(n4294967295=AssertionError("it was asked for"))
    assert "4294967295 is no schema id" in reason(codec, b"\0\xff\xff\xff\xff" + GOOD[5:])


class Registry:
    """Knows nothing, counts what it is asked; later it may know."""

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.knows: Any = None

    async def fetch(self, wanted: int) -> Any:
        self.asked.append(wanted)
        return self.knows


def test_an_unknown_schema_is_requested_once_in_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("app.messaging.codec.time.monotonic", lambda: clock[0])
    registry = Registry()
    codec = Codec(CREATED, 1, registry.fetch)
    unknown = [struct.pack(">bI", 0, 77) + GOOD[5:]] * 1000
    assert all(isinstance(one, Poison) for one in decoded(codec, *unknown))
    clock[0] += 9
    assert all("not in the registry" in str(one) for one in decoded(codec, *unknown))
    assert registry.asked == [77]
    clock[0] += 2
    registry.knows = CREATED
    assert decoded(codec, *unknown[:2]) == [transaction()] * 2
    assert registry.asked == [77, 77]


def test_the_number_of_remembered_unknown_ids_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.messaging.codec._NOES_MOST", 10)
    codec = Codec(CREATED, 1, Registry().fetch)
    decoded(codec, *(struct.pack(">bI", 0, number) + b"x" for number in range(2, 100)))
    assert len(codec._noes) == 10


def test_a_schema_that_has_what_is_wanted_behind_the_end_is_read_whole() -> None:
    """Its records would lack something, and be poison."""
    fields = {field["name"]: field for field in STATUS["fields"]}
    late = {**STATUS, "fields": [*(f for n, f in fields.items() if n != "revision"), fields["revision"]]}
    written = codec_of(late, 2).encode(status(revision=3))
    (found,) = decoded(codec_of(STATUS, 1, "decided_at", n2=late), written)
    assert (found["revision"], "decided_at" in found) == (3, False)
