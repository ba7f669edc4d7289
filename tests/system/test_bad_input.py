"""Bad input end to end: an answer that names the field and the reason, nothing in Kafka, no stack trace in the log."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from infra.native import stack
from infra.native.paths import LOGS
from reconciliation.readers import PATH, bff_url
from tests.support import http, log

JSON = {"Content-Type": "application/json"}
INT64_MAX = 2**63 - 1

WRONG_FIELDS: list[tuple[str, Any, str]] = [
    ("value_in_cents", 0, "greater than or equal to 1"),
    ("value_in_cents", -5, "greater than or equal to 1"),
    ("value_in_cents", INT64_MAX + 1, "less than or equal to"),
    ("value_in_cents", 10**400, "less than or equal to"),
    ("value_in_cents", 5.5, "must be an integer"),
    ("value_in_cents", "5", "must be an integer"),
    ("value_in_cents", True, "must be an integer"),
    ("value_in_cents", None, "must be an integer"),
    ("transaction_timestamp", INT64_MAX + 1, "in seconds since 1970"),
    ("transaction_timestamp", -(2**63) - 1, "in seconds since 1970"),
    ("transaction_timestamp", 1_624_079_756_000, "in seconds since 1970"),
    ("latitude", 991, "in degrees, -180 to 180"),
    ("transaction_timestamp", 1.5, "must be an integer"),
    ("latitude", "12", "must be a number"),
    ("latitude", True, "must be a number"),
    ("latitude", float("nan"), "must be a finite number"),
    ("latitude", float("inf"), "must be a finite number"),
    ("longitude", float("-inf"), "must be a finite number"),
    ("longitude", [], "must be a number"),
    ("description", "", "at least 1 character"),
    ("description", "x" * 1001, "at most 1000 characters"),
    ("description", 7, "must be a string"),
    ("customer_id", "", "at least 1 character"),
    ("customer_id", "x" * 256, "at most 255 characters"),
    ("customer_id", None, "must be a string"),
    ("merchant_id", "", "at least 1 character"),
    ("merchant_id", "x" * 256, "at most 255 characters"),
    ("merchant_id", {}, "must be a string"),
]

WRONG_BODIES = {
    "empty": b"",
    "no JSON": b"value_in_cents=5",
    "half of one": b'{"value_in_cents": 5',
    "a list": b"[]",
    "null": b"null",
    "a number too large for a double": json.dumps(http.EXAMPLE).replace("12.0445", "1e999").encode(),
    "not UTF-8": json.dumps(http.EXAMPLE).replace("teste", "t\u00e9ste").encode("latin-1"),
    "UTF-16": json.dumps(http.EXAMPLE).encode("utf-16"),
    "half a surrogate pair": json.dumps(http.EXAMPLE).replace("teste", "\\ud800").encode(),
    "nested deeply": b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.fixture(autouse=True)
def _without_a_trace() -> Iterator[None]:
    """Whatever a test here sends, nothing reaches Kafka and the log has no stack trace."""
    worker = "main" if stack.current_mode() == "combined" else "bff"
    path = LOGS / f"{worker}.log"
    before, size = log.ends(log.CREATED), path.stat().st_size
    yield
    assert log.ends(log.CREATED) == before
    with path.open("rb") as file:
        file.seek(size)
        written = file.read().decode(errors="replace")
    assert "Traceback" not in written, written[-3000:]


def named(answer: http.Answer, status: int, field: str, reason: str) -> None:
    """The answer is a problem of that status which names the field and the reason."""
    assert answer.status == status, answer
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["status"] == status
    assert field in answer.json["error"]
    assert reason in answer.json["error"]
    errors = {error["field"]: error["reason"] for error in answer.json["errors"]}
    assert reason in errors[field]


@pytest.mark.parametrize(("field", "value", "reason"), WRONG_FIELDS, ids=lambda part: repr(part)[:30])
def test_a_wrong_value_names_its_field_and_reason(field: str, value: Any, reason: str) -> None:
    named(http.post({field: value}), 400, field, reason)


@pytest.mark.parametrize("field", sorted(http.EXAMPLE))
def test_a_missing_field_is_named(field: str) -> None:
    body = json.dumps({name: value for name, value in http.EXAMPLE.items() if name != field}).encode()
    named(http.call("POST", PATH, body, JSON), 400, field, "is missing")


def test_every_wrong_field_is_named_at_once() -> None:
    answer = http.post({"value_in_cents": 0, "latitude": "12"})
    assert {error["field"] for error in answer.json["errors"]} == {"value_in_cents", "latitude"}


@pytest.mark.parametrize("body", WRONG_BODIES.values(), ids=WRONG_BODIES)
def test_a_body_that_is_not_a_transaction_is_a_400(body: bytes) -> None:
    answer = http.call("POST", PATH, body, JSON)
    assert answer.status == 400, answer
    assert answer.json["error"].startswith("Invalid request payload")
    assert all(error["field"] and error["reason"] for error in answer.json["errors"])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
def test_another_content_type_is_a_400(kind: str) -> None:
    named(http.post(headers={"Content-Type": kind}), 400, "Content-Type", "must be application/json")


def test_a_body_over_the_limit_is_a_413() -> None:
    too_large = json.dumps({**http.EXAMPLE, "more": "x" * 20_000}).encode()
    too_large_for_413(http.call("POST", PATH, too_large, JSON))


def test_a_body_over_the_limit_is_a_413_when_its_length_is_not_given() -> None:
    chunks = [json.dumps({**http.EXAMPLE, "more": "x" * 20_000}).encode()]
    too_large_for_413(http.call("POST", PATH, chunks, {**JSON, "Transfer-Encoding": "chunked"}))


def too_large_for_413(answer: http.Answer) -> None:
    assert answer.status == 413, answer
    assert "body" in answer.json["error"]


@pytest.mark.parametrize(
    "cursor", ["nonsense", "", "%00", "MDAwMDAwMDAwMDow=", "zzzz", "x" * 3000, "%F0%9F%92%A9", "MDow"]
)
def test_an_unknown_cursor_is_a_400(cursor: str) -> None:
    named(http.call("GET", f"{PATH}?cursor={cursor}"), 400, "cursor", "is none of ours")


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "ten", "1.5", "", "9" * 30, "%D9%A3"])
def test_a_wrong_limit_is_a_400(limit: str) -> None:
    named(http.call("GET", f"{PATH}?limit={limit}"), 400, "limit", "must be an integer from 1 to")


@pytest.mark.parametrize("id_", ["x" * 300, "%00", "%0A"])
def test_a_malformed_id_is_a_400(id_: str) -> None:
    named(http.call("GET", f"{PATH}/{id_}"), 400, "transaction_id", "must be printable")


@pytest.mark.parametrize(
    "id_", ["01890000-0000-7000-8000-000000000000", "16f051bb-14e0-4fda-95e5-507d01ea37dc", "nonsense", "7"]
)
def test_an_unknown_id_is_a_404(id_: str) -> None:
    answer = http.call("GET", f"{PATH}/{id_}")
    assert answer.status == 404, answer
    assert id_ in answer.json["error"]


def test_an_unknown_path_is_a_404() -> None:
    assert http.call("POST", "/api/v1/nothing", json.dumps(http.EXAMPLE).encode(), JSON).status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", [PATH, f"{PATH}/01890000-0000-7000-8000-000000000000"])
def test_another_method_is_a_405_that_names_the_allowed(method: str, path: str) -> None:
    answer = http.call(method, path, json.dumps(http.EXAMPLE).encode(), JSON)
    assert answer.status == 405, answer
    assert "GET" in answer.headers["Allow"]


def test_head_is_get_without_a_body() -> None:
    answer = http.call("HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert http.call("HEAD", f"{PATH}/01890000-0000-7000-8000-000000000000").status == 404


def test_malformed_http_is_a_400() -> None:
    target = urlsplit(bff_url())
    with socket.create_connection((target.hostname, target.port), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00 what is this\r\n\r\n")
        assert b" 400 " in connection.recv(1000)


def test_after_all_of_it_the_next_good_get_is_answered() -> None:
    assert http.call("GET").status == 200
