"""Answers that several views give."""

from __future__ import annotations

from aiohttp import web

from app.errors import BeingRebuilt, NotReadableYet, Overloaded, StoreUnavailable
from app.web.problems import problem, unavailable
from app.web.validation import INVALID, InvalidRequest


def invalid(exc: InvalidRequest) -> web.Response:
    """400 that names each field."""
    return problem(400, INVALID, str(exc), exc.errors)


def not_found(transaction_id: str) -> web.Response:
    """404 for a transaction."""
    return problem(404, "Not found", f"no transaction has the id {transaction_id}")


def no_store(exc: StoreUnavailable | Overloaded) -> web.Response:
    """503 where a transaction or the list cannot be read."""
    # Not the driver's own text, which has addresses in it: that goes to the log.
    why = "neither Redis nor Cassandra answers"
    if isinstance(exc, BeingRebuilt | NotReadableYet | Overloaded):
        why = str(exc)
    return unavailable("Read model unavailable", why, exc)
