"""Avro or JSON, on the same records.

Bytes and time per record; then six schema changes, each actually made: a record is
written before the change and read after it. For Avro the running registry is first asked whether it accepts the
new schema; JSON has no registry.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from exercises import formats
from exercises.context import Context, say
from exercises.registry import subject

CONTROL = "the subject's compatibility is NONE: the registry takes every schema."
OLD = "only an essay, nothing to run"
SUBJECT = "exercise-4-value"
CHANGED = "value_in_cents"

Fields = list[dict[str, Any]]
#: Change -> what it makes of the fields, and whether a new reader can still read what was written before.
CHANGES: dict[str, tuple[Callable[[Fields], Fields], bool]] = {
    "add a field with a default": (
        lambda fields: [*fields, {"name": "channel", "type": "string", "default": "unknown"}],
        True,
    ),
    "add a field without a default": (lambda fields: [*fields, {"name": "channel", "type": "string"}], False),
    "remove a field": (lambda fields: [f for f in fields if f["name"] != CHANGED], True),
    "rename a field": (lambda fields: _changed(fields, name="cents"), False),
    "rename it, with an alias": (lambda fields: _changed(fields, name="cents", aliases=[CHANGED]), True),
    "retype it to string": (lambda fields: _changed(fields, type="string"), False),
}


def run(context: Context) -> None:
    """Measure, then change."""
    context.step("Bytes and time")
    found = formats.compare([formats.avro(), formats.json_text()])
    context.promise(
        "Avro needs about half of JSON's bytes",
        found["Avro"].size < 0.6 * found["JSON"].size,
        f"{found['Avro'].size:.0f} against {found['JSON'].size:.0f}",
    )
    compatibility = "NONE" if context.control else "BACKWARD_TRANSITIVE"
    _avro(context, compatibility)
    _json(context)


def _avro(context: Context, compatibility: str) -> None:
    context.step(f"Avro: six changes, each asked of the registry ({compatibility}), then made")
    schema, record = formats.avro_schema(), formats.records(1)[0]
    with subject(SUBJECT, "AVRO", json.dumps(schema), compatibility) as register:
        for change, (changed, readable) in CHANGES.items():
            new = {**schema, "fields": changed(schema["fields"])}
            taken, said = register(json.dumps(new))
            reads, seen = _read_avro(record, schema, new)
            say(f"  {change:<31} registry: {'taken  ' if taken else 'refused'}  old record: {seen}")
            if not taken:
                say(f"  {'':<31} {said[:110]}")
            context.promise(
                f"Avro, {change}: the registry {'takes' if readable else 'refuses'} it, and rightly",
                taken == readable == reads,
            )


def _read_avro(record: formats.Record, old: Any, new: Any) -> tuple[bool, str]:
    """Whether the new reader can read what the old writer wrote, and what it sees."""
    try:
        read = formats.reread_avro(record, old, new)
    except Exception as failure:  # noqa: BLE001  # whatever the library makes of it is what is shown
        return False, f"{type(failure).__name__}"
    return True, f"reads {_seen(read)}"


def _json(context: Context) -> None:
    context.step("JSON: the same changes made by the producer; the consumer does not know")
    wrong = []
    for change, (changed, _) in CHANGES.items():
        record = formats.records(1)[0]
        text = json.dumps(_as_producer(record, changed(formats.avro_schema()["fields"])))
        try:
            value = json.loads(text)[CHANGED]
            seen = f"{CHANGED} = {value!r}, doubled {value * 2!r}"
            wrong += [change] if value * 2 != 2 * record[CHANGED] else []
        except KeyError as failure:
            seen = f"KeyError {failure}, when a consumer reads it"
        say(f"  {change:<31} sent, nobody refuses   consumer: {seen[:90]}")
    context.promise("JSON lets a wrong value through without an error", bool(wrong), ", ".join(wrong))


def _as_producer(record: dict[str, Any], fields: Fields) -> dict[str, Any]:
    """What a producer with the change sends."""
    values = {field["name"]: record.get(field["name"], record[CHANGED]) for field in fields}
    retyped = {field["name"] for field in fields if field["type"] == "string"}
    return {name: str(value) if name in retyped else value for name, value in values.items()}


def _changed(fields: Fields, **changes: Any) -> Fields:
    return [{**field, **changes} if field["name"] == CHANGED else field for field in fields]


def _seen(read: dict[str, Any]) -> str:
    interesting = {name: read[name] for name in (CHANGED, "cents", "channel") if name in read}
    return ", ".join(f"{name} = {value!r}" for name, value in interesting.items()) or "the rest"
