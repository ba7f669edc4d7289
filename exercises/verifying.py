"""The one place that asks `faust -A app.main verify` what it says of an exercise's transactions."""

from __future__ import annotations

from collections.abc import Collection


def verified(ids: Collection[str]) -> list[str] | None:
    """Those of these ids that it names; None while there is no such command."""
    del ids
    return None
