"""Protobuf or Avro, on the same records; JSON beside them.

Bytes and time; then changes of the message, each actually made: protoc compiles both versions, a
message is written with the old one and read with the new one. Protobuf matches fields by number and never
reports a mismatch; Avro matches them by name and has both schemas. The registry guards both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from exercises import formats
from exercises.context import Context, say
from exercises.registry import subject

CONTROL = "the subject's compatibility is NONE: the registry takes every message."
OLD = "only an essay, nothing to run"
SUBJECT = "exercise-9-value"

Schema = dict[str, Any]


def _swapped(text: str) -> str:
    return text.replace("latitude = 8", "latitude = 9").replace("longitude = 9", "longitude = 8")


def _retyped(text: str) -> str:
    return text.replace("int64 value_in_cents", "string value_in_cents")


def _without(text: str) -> str:
    return re.sub(r"  string description = 3;\n", "", text)


#: Change -> the new .proto, and what becomes of an old message: right, lost or wrong, without an error in any case.
CHANGES: dict[str, tuple[Callable[[str], str], str]] = {
    "add a field": (
        lambda text: text.replace("longitude = 9;", "longitude = 9;\n  string channel = 10;"),
        "right",
    ),
    "remove a field, reserve its number": (
        lambda text: _without(text).replace(
            "Created {", 'Created {\n  reserved 3;\n  reserved "description";'
        ),
        "right",
    ),
    "remove a field": (_without, "right"),
    "rename a field": (lambda text: text.replace("value_in_cents", "cents"), "right"),
    "retype int64 to string": (_retyped, "lost"),
    "retype int64 to sint64": (lambda text: text.replace("int64 value", "sint64 value"), "wrong"),
    "swap two numbers": (_swapped, "wrong"),
}
#: What the registry (BACKWARD_TRANSITIVE) accepts: it also refuses a new name, and a number left free.
TAKEN = {"add a field", "remove a field, reserve its number"}


def run(context: Context) -> None:
    """Measure, then change."""
    context.step("Bytes and time")
    found = formats.compare([formats.protobuf(), formats.avro(), formats.json_text()])
    context.promise(
        "Avro is the smallest, Protobuf near it, JSON far behind",
        found["Avro"].size < found["Protobuf"].size < 0.75 * found["JSON"].size,
        ", ".join(f"{name} {one.size:.0f}" for name, one in found.items()),
    )
    _protobuf(context, "NONE" if context.control else "BACKWARD_TRANSITIVE")
    _avro(context)


def _protobuf(context: Context, compatibility: str) -> None:
    context.step(f"Protobuf: changes asked of the registry ({compatibility}), then made")
    old = formats.PROTO.read_text()
    record = formats.records(1)[0]
    written = formats.message_class(old)(**record).SerializeToString()
    with subject(SUBJECT, "PROTOBUF", old, compatibility) as register:
        for change, (changed, expected) in CHANGES.items():
            taken, _ = register(changed(old))
            outcome, seen = _read_protobuf(written, changed(old), record)
            say(
                f"  {change:<35} registry: {'taken  ' if taken else 'refused'}  old message: {outcome}, {seen}"
            )
            context.promise(
                f"Protobuf, {change}: the registry {'takes' if change in TAKEN else 'refuses'} it",
                taken == (change in TAKEN),
            )
            context.promise(f"Protobuf, {change}: an old message is read {expected}", outcome == expected)


def _read_protobuf(written: bytes, proto: str, record: Mapping[str, Any]) -> tuple[str, str]:
    """Read an old message with a new class: right, lost or wrong, and what is seen of it."""
    message = formats.message_class(proto).FromString(written)
    fields = {field.name: getattr(message, field.name) for field in message.DESCRIPTOR.fields}
    value = fields.get("value_in_cents", fields.get("cents"))
    seen = f"cents {value!r}, latitude {fields['latitude']:.3f} (was {record['latitude']:.3f})"
    if value in ("", 0):
        return "lost", seen
    right = value == record["value_in_cents"] and fields["latitude"] == record["latitude"]
    return ("right" if right else "wrong"), seen


def _avro(context: Context) -> None:
    context.step("Avro: the same two that Protobuf read wrongly or lost")
    schema, record = formats.avro_schema(), formats.records(1)[0]
    reordered = {**schema, "fields": [*schema["fields"][:-2], *reversed(schema["fields"][-2:])]}
    retyped = {**schema, "fields": [_as_text(field) for field in schema["fields"]]}
    read = formats.reread_avro(record, schema, reordered)
    say(f"  latitude and longitude change places: latitude {read['latitude']:.3f}, as it was")
    context.promise("Avro, two fields change places: read by name, rightly", read == record)
    try:
        formats.reread_avro(record, schema, retyped)
        said = "nothing"
    except Exception as failure:  # noqa: BLE001  # whatever the library makes of it is what is shown
        said = type(failure).__name__
    say(f"  long to string: {said}")
    context.promise("Avro, long to string: an error, no wrong value", said != "nothing", said)


def _as_text(field: Schema) -> Schema:
    return {**field, "type": "string"} if field["name"] == "value_in_cents" else field
