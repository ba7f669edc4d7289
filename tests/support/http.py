"""Calls to the bff, one connection each, with nothing added that a client need not send."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from reconciliation.readers import PATH, bff_url

FINAL = ("accepted", "rejected")

#: What every POST here is made from: the call of the exercises.
EXAMPLE: dict[str, Any] = {
    "value_in_cents": 39859385,
    "description": "teste sem scylla-1",
    "customer_id": "c408a342-5c78-4e31-afc8-c7c710b07340",
    "merchant_id": "0f3eaa5d-79eb-48bc-ad0d-c775efa3646e",
    "transaction_timestamp": 1624079756,
    "latitude": 93.1334,
    "longitude": 12.0445,
}


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    method: str,
    path: str = PATH,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    url: str | None = None,
) -> Answer:
    """One request; no header is added but Host and the body's length (an iterable goes in chunks)."""
    target = urlsplit(url or bff_url())
    connection = HTTPConnection(target.hostname or "", target.port, timeout=10)
    try:
        connection.request(
            method, path, body=body, headers=headers or {}, encode_chunked=not isinstance(body, bytes)
        )
        response = connection.getresponse()
        return Answer(response.status, dict(response.headers), response.read())
    finally:
        connection.close()


def post(
    changes: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    url: str | None = None,
) -> Answer:
    """POST the example with some fields changed."""
    body = json.dumps({**EXAMPLE, **(changes or {})}).encode()
    return call("POST", PATH, body, {"Content-Type": "application/json"} if headers is None else headers, url)


def taken(changes: Mapping[str, Any] | None = None, url: str | None = None) -> str:
    """POST it and return its id; it must have been accepted with 201."""
    answer = post(changes, url=url)
    assert answer.status == 201, answer
    return str(answer.json["transaction_id"])


def shown(transaction_id: str) -> dict[str, Any] | None:
    """GET of one; None for 404, and for 503 while it may be in flight."""
    answer = call("GET", f"{PATH}/{transaction_id}")
    if answer.status == 404 or (answer.status == 503 and "shows it yet" in answer.json["error"]):
        return None
    assert answer.status == 200, answer
    found = dict(answer.json)
    found.pop("label_may_be_missing", None)  # what a busy Cassandra costs, and no key of the transaction
    return found


def page(
    limit: int | None = None, cursor: str | None = None, status: str | None = None, url: str | None = None
) -> dict[str, Any]:
    """One page of the list."""
    given = {"limit": limit, "cursor": cursor, "status": status}
    query = [f"{name}={value}" for name, value in given.items() if value]
    answer = call("GET", PATH + ("?" + "&".join(query) if query else ""), url=url)
    assert answer.status == 200, answer
    return dict(answer.json)


def listed(page: dict[str, Any]) -> set[str]:
    """The ids of a page of GET."""
    return {entry["transaction_id"] for entry in page["transactions"]}


def final(transaction_id: str, within: float = 5.0) -> dict[str, Any]:
    """What GET shows once it is decided."""
    deadline = time.monotonic() + within
    while not (found := shown(transaction_id)) or found["status"] not in FINAL:
        assert time.monotonic() < deadline, f"{transaction_id} not final within {within} s: {found}"
        time.sleep(0.01)
    return found
