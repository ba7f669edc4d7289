"""Why antifraud rejected a transaction: up to three reasons, as text in the log and the stores, a list for clients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TypedDict


class Reason(TypedDict):
    """A feature (history.features, or a field), its value, and both in words."""

    feature: str
    value: int
    words: str


def as_text(reasons: Sequence[Reason]) -> str | None:
    """JSON, the same for the same reasons; None for none."""
    return json.dumps(reasons, ensure_ascii=False, separators=(",", ":")) if reasons else None


def from_text(text: str | None) -> list[Reason]:
    """The reasons again."""
    return json.loads(text) if text else []
