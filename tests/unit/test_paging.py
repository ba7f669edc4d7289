"""GET's query: the page size is checked, and a cursor must be one that we issued."""

import base64
import random

import pytest
from multidict import MultiDict, MultiMapping

from app.models.status import key_of_row, sort_key
from app.web.paging import (
    DEFAULT_LIMIT,
    LIST_PARAMETERS,
    check_parameters,
    cursor_of,
    key_of,
    limit_of,
    wait_of,
)
from app.web.validation import InvalidRequest
from tests.unit.samples import MINUTE, status, transaction


def test_a_page_has_a_hundred_unless_asked() -> None:
    assert limit_of(None, most=1000) == DEFAULT_LIMIT == 100


@pytest.mark.parametrize("text", ["1", "100", "1000", "0010"])
def test_a_limit_from_one_to_the_maximum_is_accepted(text: str) -> None:
    assert limit_of(text, most=1000) == int(text)


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "+1", "1001", "1.0", "1e2", " 1", "1_0", "ten", "\u0661", "9" * 5000, "0x10", "nan"],
)
def test_a_wrong_limit_is_reported_with_what_is_allowed(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^limit: must be an integer from 1 to 1000$"):
        limit_of(text, most=1000)


KEYS = [
    sort_key("0197a4c2-3d10-7b1e-9c55-0f6f3a8c21d4", 0),
    sort_key("16f051bb-14e0-4fda-95e5-507d01ea37dc", 59),
    sort_key("an id of another system: \u00e9\n/+?", 10**10),
    sort_key("x" * 255, 0),
]


@pytest.mark.parametrize("key", KEYS)
def test_a_cursor_leads_back_to_its_position_and_needs_no_escaping(key: str) -> None:
    cursor = cursor_of(key)
    assert cursor is not None
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert key_of(cursor) == key


def test_without_a_cursor_the_list_begins_at_its_newest_and_the_last_page_has_none() -> None:
    assert key_of(None) is None
    assert cursor_of(None) is None


def encoded(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "nonsense",
        "!!!",
        "a",
        "\u00e9",
        "\x00",
        "A" * 10_000,
        encoded(b""),
        encoded(b"0000000001"),
        encoded(b"0000000001:"),
        encoded(b"000000001:x"),
        encoded(b"-000000001:x"),
        encoded(b"9999999999:x"),  # a month of no name: it was a 500 while Cassandra made the list
        encoded(b"4223371680:x"),  # the first minute after the year 9999
        encoded(b"0000000001:" + b"x" * 256),
        encoded(b"0000000001:\xff"),
        encoded("\u0661".encode() * 10 + b":x"),
        f"{cursor_of(KEYS[0])}=",
        f"{cursor_of(KEYS[0])} ",
        f" {cursor_of(KEYS[0])}",
        base64.b64encode(b"0000000001:\xc3\xbf\xc3\xbf>").decode(),
    ],
)
def test_an_unknown_cursor_is_reported(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^cursor: is none of ours"):
        key_of(cursor)


def test_of_two_thousand_spoiled_cursors_each_is_refused_or_a_key() -> None:
    rng = random.Random(1)
    good = cursor_of(KEYS[0]) or ""
    refused = 0
    for _ in range(2_000):
        where, character = rng.randrange(len(good)), rng.choice("AQgw59-_=/+% \n\u00e9")
        try:
            key = key_of(good[:where] + character + good[where + 1 :])
        except InvalidRequest:
            refused += 1
        else:
            assert key is not None
            assert int(key[:10]) >= 0
    assert refused > 200


def test_a_row_has_the_key_that_its_entry_in_redis_has() -> None:
    row = status(transaction(transaction_id="x"))
    assert key_of_row(row) == f"{MINUTE:010d}:x"


def test_known_parameters_are_accepted() -> None:
    check_parameters(query())
    check_parameters(query(*LIST_PARAMETERS), LIST_PARAMETERS)


def query(*names: str) -> MultiMapping[str]:
    return MultiDict((name, "x") for name in names)


def test_one_given_twice_is_refused_since_one_of_them_would_be_ignored() -> None:
    with pytest.raises(InvalidRequest, match="limit: is given more than once"):
        check_parameters(query("limit", "cursor", "limit"), LIST_PARAMETERS)


def test_an_unknown_parameter_is_named_with_those_that_are_known() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_parameters(query("limit", "state", "customer"), LIST_PARAMETERS)
    reason = "is not a known query parameter; known here: limit, cursor, status, customer_id"
    assert caught.value.errors == [
        {"field": "customer", "reason": reason},
        {"field": "state", "reason": reason},
    ]


def test_thousands_of_unknown_parameters_make_no_large_answer() -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_parameters(query(*(str(number) * 1000 for number in range(2_000))))
    assert len(str(caught.value.errors)) < 3_000


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 0), ("0", 0), ("30", 30), ("0.25", 0.25), ("5e-324", 5e-324), ("-0.0", 0), ("1.0e1", 10)],
)
def test_a_wait_is_any_number_that_json_has(text: str | None, seconds: float) -> None:
    assert wait_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "31", "-1", "nan", "inf", "1_0", " 1", "1s", "\u0663", "1e999", "9" * 400]
)
def test_a_wait_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="wait: must be seconds from 0 to 30"):
        wait_of(text)
