"""A request's body to its model, or the fields that are wrong with it."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from app.models.transaction import DEGREES_MAX, IDENTIFIER_MOST, SECONDS_MAX, TransactionRequest

T = TypeVar("T", bound=BaseModel)

INVALID = "Invalid request payload"

#: Said when a number is out of bounds: what it is measured in is what its sender has mistaken.
_UNITS = {
    "transaction_timestamp": f"must be in seconds since 1970 (UTC), 0 to {SECONDS_MAX}",
    "latitude": f"must be in degrees, -{DEGREES_MAX:g} to {DEGREES_MAX:g}",
    "longitude": f"must be in degrees, -{DEGREES_MAX:g} to {DEGREES_MAX:g}",
}
_OUT_OF_BOUNDS = {"greater_than_equal", "less_than_equal"}


class InvalidRequest(Exception):
    """What is wrong: a list of {"field", "reason"}."""

    def __init__(self, errors: list[dict[str, str]]):
        super().__init__("; ".join(f"{error['field']}: {error['reason']}" for error in errors))
        self.errors = errors


def check_content_type(request: web.Request) -> None:
    """No Content-Type is taken as JSON's; another than JSON's, and a compressed body, is refused."""
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise InvalidRequest(
            [{"field": "Content-Encoding", "reason": "is not supported: send the body as it is"}]
        )
    named = request.headers.get("Content-Type")
    if named is None:
        return
    kind = named.split(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise InvalidRequest([{"field": "Content-Type", "reason": "must be application/json"}])


async def body_of(request: web.Request, timeout: float) -> bytes:
    """The body, if it arrives within `timeout` seconds; else 408."""
    if request.content.is_eof():  # as with most: it came with the headers, nothing to wait for
        return await request.read()
    try:
        async with asyncio.timeout(timeout):
            return await request.read()
    except TimeoutError as exc:
        raise web.HTTPRequestTimeout from exc
    except ConnectionError as exc:  # nobody will read the answer
        raise web.HTTPBadRequest(text="the connection ended before the body did") from exc


def parse(body: bytes) -> TransactionRequest:
    """The request in a body of JSON in UTF-8; InvalidRequest."""
    return parse_as(TransactionRequest, body)


def parse_as(model: type[T], body: bytes) -> T:
    """What a body of JSON in UTF-8 says, as this model; InvalidRequest names each field that is wrong."""
    try:
        return model.model_validate_json(body)
    except ValidationError as exc:
        raise InvalidRequest(
            [_named(error) for error in exc.errors(include_url=False, include_input=False)]
        ) from exc


def check_id(transaction_id: str) -> None:
    """An id from a path; InvalidRequest."""
    if len(transaction_id) > IDENTIFIER_MOST or not transaction_id.isprintable():
        reason = f"must be printable, with 1 to {IDENTIFIER_MOST} characters"
        raise InvalidRequest([{"field": "transaction_id", "reason": reason}])


def _named(error: ErrorDetails) -> dict[str, str]:
    field = ".".join(str(part) for part in error["loc"]) or "body"
    if error["type"] in _OUT_OF_BOUNDS and field in _UNITS:
        return {"field": field, "reason": _UNITS[field]}
    if error["type"] == "literal_error":
        return {"field": field, "reason": f"must be {error['ctx']['expected']}"}
    reason = {
        "missing": "is missing",
        "json_invalid": "is not JSON in UTF-8",
        "model_type": "must be a JSON object",
        "int_type": "must be an integer",
        "int_from_float": "must be an integer",
        "float_type": "must be a number",
        "string_type": "must be a string",
        "finite_number": "must be a finite number",
    }.get(error["type"], str(error["msg"]).lower())
    return {"field": field, "reason": reason}
