"""POST's body and content type: errors name the field and the reason; a valid body becomes a request."""

import json
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request

from app.models.transaction import TransactionRequest
from app.web.validation import InvalidRequest, check_content_type, parse

GOOD = {
    "value_in_cents": 39_859_385,
    "description": "teste sem scylla-1",
    "customer_id": "c408a342-5c78-4e31-afc8-c7c710b07340",
    "merchant_id": "0f3eaa5d-79eb-48bc-ad0d-c775efa3646e",
    "transaction_timestamp": 1_624_079_756,
    "latitude": 93.1334,
    "longitude": 12.0445,
}


def body(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def body_with(field: str, raw: str | bytes) -> bytes:
    """The good body with this literal as a field's value, JSON or not."""
    raw = raw.encode() if isinstance(raw, str) else raw
    marked = json.dumps(GOOD | {field: "MARK"}).encode()
    return marked.replace(b'"MARK"', raw)


def wrong(text: bytes) -> dict[str, str]:
    """The errors for a wrong body: reasons by field."""
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert all(set(error) == {"field", "reason"} for error in caught.value.errors)
    return {error["field"]: error["reason"] for error in caught.value.errors}


def test_the_exercises_body_is_accepted_as_it_is() -> None:
    assert parse(body()).model_dump() == GOOD


def test_unknown_fields_are_ignored() -> None:
    assert parse(body(colour="red", transaction_id="mine", status=[])).model_dump() == GOOD


@pytest.mark.parametrize(
    "changes",
    [
        {"value_in_cents": 1},
        {"value_in_cents": 2**63 - 1},
        {"latitude": 12},
        {"latitude": 180, "longitude": -180},
        {"latitude": -180.0, "longitude": 180.0},
        {"transaction_timestamp": 0},
        {"transaction_timestamp": 253_402_300_799},
        {"description": "x" * 1000},
        {"description": "\u0000 \U0001f600 é"},
        {"customer_id": "c" * 255},
    ],
)
def test_the_ends_of_what_is_allowed_are_allowed(changes: dict[str, Any]) -> None:
    assert parse(body(**changes)).model_dump() == GOOD | changes


@pytest.mark.parametrize("field", GOOD)
def test_a_missing_field_is_named(field: str) -> None:
    assert wrong(json.dumps({k: v for k, v in GOOD.items() if k != field}).encode()) == {field: "is missing"}


def test_all_errors_are_reported_at_once() -> None:
    assert set(wrong(b'{"value_in_cents": 0, "latitude": "north"}')) == set(GOOD)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"hello",
        b"{'a': 1}",
        b'{"a": 1,}',
        body() + b"x",
        body() + body(),
        body()[:-1],
        b"\xef\xbb\xbf{}",
    ],
)
def test_invalid_json_is_reported(text: bytes) -> None:
    assert wrong(text) == {"body": "is not JSON in UTF-8"}


@pytest.mark.parametrize(
    "text",
    [
        body_with("description", b'"\xff"'),
        body_with("description", b'"\xc3"'),  # cut in the middle of a character
        body_with("description", b'"\xed\xa0\x80"'),  # a surrogate, encoded
        body_with("description", '"caf\u00e9"'.encode("latin-1")),
        body().decode().encode("utf-16"),
        body_with("description", '"\\ud800"'),  # half of a surrogate pair, escaped
        body_with("description", '"\\udc00\\ud800"'),
    ],
)
def test_a_broken_charset_is_reported(text: bytes) -> None:
    assert wrong(text) == {"body": "is not JSON in UTF-8"}


@pytest.mark.parametrize("text", [b"[]", b"1", b"null", b"true", b'"{}"', b"[" + body() + b"]"])
def test_json_that_is_not_an_object_is_reported(text: bytes) -> None:
    assert wrong(text) == {"body": "must be a JSON object"}


@pytest.mark.parametrize("deep", [b"[" * 100_000, b'{"a":' * 100_000, b"[" * 5_000 + b"]" * 5_000])
def test_endless_nesting_is_reported_and_ends_no_process(deep: bytes) -> None:
    assert wrong(deep) == {"body": "is not JSON in UTF-8"}
    assert wrong(body_with("colour", deep)) == {"body": "is not JSON in UTF-8"}


INTEGER, NUMBER, FINITE, STRING = (
    "must be an integer",
    "must be a number",
    "must be a finite number",
    "must be a string",
)


@pytest.mark.parametrize(
    ("field", "raw", "says"),
    [
        *(
            ("value_in_cents", raw, INTEGER)
            for raw in ("1.5", "1.0", "1e3", "true", '"1"', "null", "[]", "{}")
        ),
        *(("transaction_timestamp", raw, INTEGER) for raw in ("1.5", "1624079756.0", "false", '"1"', "null")),
        *(("latitude", raw, NUMBER) for raw in ('"93.1"', '""', "true", "null", "[]", "{}")),
        *(
            ("longitude", raw, FINITE)
            for raw in ("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1" + "0" * 400)
        ),
        *(("description", raw, STRING) for raw in ("1", "null", "true", '["a"]', "{}")),
        *(("customer_id", raw, STRING) for raw in ("1", "null")),
        ("merchant_id", "1", STRING),
    ],
)
def test_a_wrong_type_is_reported_by_the_fields_name(field: str, raw: str, says: str) -> None:
    assert wrong(body_with(field, raw)) == {field: says}


@pytest.mark.parametrize("cents", [0, -1, -(2**63), 2**63, 10**400])
def test_cents_are_at_least_one_and_fit_64_bits(cents: int) -> None:
    assert list(wrong(body_with("value_in_cents", str(cents) if cents < 2**64 else "1" + "0" * 400))) == [
        "value_in_cents"
    ]


@pytest.mark.parametrize("time", [1_624_079_756_000, 253_402_300_800, -1, 2**63, -(2**63) - 1])
def test_a_time_out_of_range_names_its_unit(time: int) -> None:
    reason = "must be in seconds since 1970 (UTC), 0 to 253402300799"
    assert wrong(body(transaction_timestamp=time)) == {"transaction_timestamp": reason}


@pytest.mark.parametrize("field", ["latitude", "longitude"])
@pytest.mark.parametrize("degrees", [991, 180.001, -180.001, 1e308, 2**60])
def test_an_impossible_coordinate_names_its_unit(field: str, degrees: float) -> None:
    assert wrong(body(**{field: degrees})) == {field: "must be in degrees, -180 to 180"}


@pytest.mark.parametrize(
    ("field", "most"), [("description", 1000), ("customer_id", 255), ("merchant_id", 255)]
)
def test_an_empty_or_over_long_string_is_reported(field: str, most: int) -> None:
    assert "at least 1 character" in wrong(body(**{field: ""}))[field]
    assert f"at most {most} characters" in wrong(body(**{field: "x" * (most + 1)}))[field]


def test_of_a_field_given_twice_the_last_counts_and_is_checked() -> None:
    assert parse(body()[:-1] + b', "value_in_cents": 7}').value_in_cents == 7
    assert wrong(body()[:-1] + b', "value_in_cents": "7"}') == {"value_in_cents": INTEGER}


def test_the_customers_values_are_not_repeated_in_the_answer() -> None:
    text = body(customer_id=["secret-customer"], description="secret " * 200, latitude="secret place")
    with pytest.raises(InvalidRequest) as caught:
        parse(text)
    assert "secret" not in str(caught.value)


def content_type(*value: str) -> None:
    headers = {"Content-Type": value[0]} if value else {}
    check_content_type(make_mocked_request("POST", "/", headers=headers))


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/vnd.payments+json",
    ],
)
def test_the_names_of_json_are_accepted(kind: str) -> None:
    content_type(kind)


def test_a_missing_content_type_means_json() -> None:
    content_type()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "json", "application/jsonx"]
)
def test_another_content_type_is_refused_by_name(kind: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^Content-Type: must be application/json$"):
        content_type(kind)


def test_every_field_of_the_request_is_tried_here() -> None:
    assert set(TransactionRequest.model_fields) == set(GOOD)
