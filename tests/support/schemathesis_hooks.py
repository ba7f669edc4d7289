"""What Schemathesis cannot know: which cursors are ours; that 5.0 is no integer here, since the contract says so."""

from __future__ import annotations

import base64
from typing import Any

import schemathesis
from schemathesis.generation import GenerationMode

#: Seconds: long enough for an answer that waits, short enough for thousands of them.
WAIT_MOST = 0.02
INTEGERS = ("value_in_cents", "transaction_timestamp")


@schemathesis.hook
def map_case(context: schemathesis.HookContext, case: schemathesis.Case[Any]) -> schemathesis.Case[Any]:
    """A valid call is made one that is valid by the document's words as well."""
    if case.meta is None or case.meta.generation.mode is not GenerationMode.POSITIVE:
        return case
    if case.query and "cursor" in case.query:
        case.query["cursor"] = cursor_of(str(case.query["cursor"]))
    if case.query and isinstance(case.query.get("wait"), int | float):
        case.query["wait"] = min(case.query["wait"], WAIT_MOST)
    if isinstance(case.body, dict):
        case.body = {name: _whole(name, value) for name, value in case.body.items()}
    return case


def cursor_of(text: str) -> str:
    """One that the bff could have given, different for different texts."""
    key = f"{len(text) % 10:010d}:{text[:50] or 'x'}".encode(errors="replace")
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _whole(name: str, value: Any) -> Any:
    return int(value) if name in INTEGERS and isinstance(value, float) and value.is_integer() else value
