"""What of an OpenAPI document would break a client that was written for an older one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
#: A bound that a request's value was within, and whether a larger one takes more.
BOUNDS = {
    "maximum": True,
    "maxLength": True,
    "maxItems": True,
    "minimum": False,
    "minLength": False,
    "minItems": False,
}


def breaking_changes(old: Schema, new: Schema) -> list[str]:
    """One line for each, empty if there are none. What is only added breaks nobody."""
    return [line for path, methods in old["paths"].items() for line in _path(path, methods, old, new)]


def _path(path: str, methods: Schema, old: Schema, new: Schema) -> Iterator[str]:
    for method, before in methods.items():
        where = f"{method.upper()} {path}"
        after = new["paths"].get(path, {}).get(method)
        if after is None:
            yield f"{where}: is gone"
            continue
        if before["operationId"] != after["operationId"]:
            yield f"{where}: its operationId, a generated client's name for it, is another"
        yield from _parameters(where, before, after, old, new)
        yield from _content(
            f"{where} body", before.get("requestBody", {}), after.get("requestBody", {}), old, new, True
        )
        for status, answer in before["responses"].items():
            if status not in after["responses"]:
                yield f"{where}: {status} is gone"
                continue
            found = after["responses"][status]
            yield from (
                f"{where} {status}: header {name} is gone" for name in _lost(answer, found, "headers")
            )
            yield from _content(f"{where} {status}", answer, found, old, new, False)


def _parameters(where: str, before: Schema, after: Schema, old: Schema, new: Schema) -> Iterator[str]:
    known = {(p["in"], p["name"]): p for p in before.get("parameters", [])}
    found = {(p["in"], p["name"]): p for p in after.get("parameters", [])}
    for key, parameter in found.items():
        if parameter.get("required") and not known.get(key, {}).get("required"):
            yield f"{where}: {key[1]} is required"
    for key, parameter in known.items():
        if key in found:
            yield from _schema(f"{where} {key[1]}", parameter["schema"], found[key]["schema"], old, new, True)
        else:
            yield f"{where}: {key[1]} is gone"


def _content(
    where: str, before: Schema, after: Schema, old: Schema, new: Schema, asked: bool
) -> Iterator[str]:
    for kind, media in before.get("content", {}).items():
        if kind in after.get("content", {}):
            yield from _schema(where, media["schema"], after["content"][kind]["schema"], old, new, asked)
        else:
            yield f"{where}: {kind} is gone"


def _schema(
    where: str, before: Schema, after: Schema, old: Schema, new: Schema, asked: bool
) -> Iterator[str]:
    """`asked`: in a request, which may allow more than before; an answer may promise more."""
    before, after = _resolved(before, old), _resolved(after, new)
    fewer, more = (before, after) if asked else (after, before)
    for values in (_types, _enum):
        if values(more) is not None and not (values(fewer) or {"any"}) <= (values(more) or set()):
            yield f"{where}: {sorted(values(before) or ())} became {sorted(values(after) or ())}"
    yield from (f"{where}.{name}: is gone" for name in _lost(before, after, "properties"))
    required = set(more.get("required", ())) - set(fewer.get("required", ()))
    yield from (
        f"{where}.{name}: is {'required' if asked else 'not always there'} now" for name in sorted(required)
    )
    if asked:
        yield from _bounds(where, before, after)
    for name in before.get("properties", {}).keys() & after.get("properties", {}).keys():
        inner = before["properties"][name], after["properties"][name]
        yield from _schema(f"{where}.{name}", *inner, old, new, asked)
    if "items" in before and "items" in after:
        yield from _schema(f"{where}[]", before["items"], after["items"], old, new, asked)


def _bounds(where: str, before: Schema, after: Schema) -> Iterator[str]:
    for name, larger_takes_more in BOUNDS.items():
        was, is_ = before.get(name), after.get(name)
        if is_ is not None and (was is None or (is_ < was if larger_takes_more else is_ > was)):
            yield f"{where}: {name} {was} became {is_}"
    if after.get("pattern", before.get("pattern")) != before.get("pattern"):
        yield f"{where}: its pattern is another"


def _types(schema: Schema) -> set[str] | None:
    if "anyOf" in schema:
        return {each.get("type", "any") for each in schema["anyOf"]}
    return {schema["type"]} if "type" in schema else None


def _enum(schema: Schema) -> set[Any] | None:
    return set(schema["enum"]) if "enum" in schema else None


def _lost(before: Schema, after: Schema, key: str) -> list[str]:
    return sorted(before.get(key, {}).keys() - after.get(key, {}).keys())


def _resolved(schema: Schema, document: Schema) -> Schema:
    if "$ref" in schema:
        found: Schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return found
    return schema
