"""Answers that several views give."""

from __future__ import annotations

from aiohttp import web

from app.web.problems import problem
from app.web.validation import INVALID, InvalidRequest


def invalid(exc: InvalidRequest) -> web.Response:
    """400 that names each field."""
    return problem(400, INVALID, str(exc), exc.errors)


def not_found(transaction_id: str) -> web.Response:
    """404 for a transaction."""
    return problem(404, "Not found", f"no transaction has the id {transaction_id}")
