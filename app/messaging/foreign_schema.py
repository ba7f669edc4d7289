"""What another producer's schema may be: read as ours says, and no trap for who reads by it."""

from __future__ import annotations

from typing import Any

import fastavro

from app.errors import Poison


def parsed(schema: Any) -> Any:
    """The schema for fastavro to read by; raises Poison or whatever parsing it leads to.

    Without its logical types: they would make objects (UUID, datetime, Decimal) of what our schema has as text or
    number.
    """
    found = fastavro.parse_schema(_plain(schema), named_schemas={})
    _check(found, {}, set())
    return found


def _plain(schema: Any) -> Any:
    if isinstance(schema, dict):
        return {name: _plain(part) for name, part in schema.items() if name != "logicalType"}
    return [_plain(part) for part in schema] if isinstance(schema, list) else schema


def _check(schema: Any, smallest: dict[str, bool], within: set[str]) -> bool:
    """Whether each value takes bytes. `smallest`: the same of the named types so far; `within`: those we are in."""
    if isinstance(schema, list):
        for branch in schema:
            _check(branch, smallest, within)
        return True  # the branch's number
    if isinstance(schema, str):
        # fastavro's C code reads nested values without a bound: half a megabyte of them ends the process.
        if schema in within:
            raise Poison(f"its type {schema} holds itself: not read, it could be nested without end")
        return smallest.get(schema, schema != "null")
    return _check_complex(schema, smallest, within)


def _check_complex(schema: dict[str, Any], smallest: dict[str, bool], within: set[str]) -> bool:
    kind = schema["type"]
    if kind in ("record", "error"):
        inner = within | {schema["name"]}
        takes = [_check(field["type"], smallest, inner) for field in schema["fields"]]
        smallest[schema["name"]] = any(takes)
    elif kind in ("enum", "fixed"):
        smallest[schema["name"]] = kind == "enum" or schema["size"] > 0
    elif kind in ("array", "map"):
        takes_bytes = _check(schema["items" if kind == "array" else "values"], smallest, within)
        if kind == "array" and not takes_bytes:
            raise Poison("it has an array of nothing: not read, a few bytes could say billions of them")
        return True
    else:
        return _check(kind, smallest, within)
    return smallest[schema["name"]]
