"""What a client of any HTTP API expects: Location, ETag, HEAD, OPTIONS, CORS by a setting, ids of requests."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web
from faust.web import View
from pydantic import ValidationError

from app.settings import Settings
from app.web.transactions import PATH
from tests.unit.site import BODY, ID, call, calls, request

ONE = f"{PATH}/{ID}"
SHOP = "https://shop.example"
OURS = Settings(cors_origins=f"{SHOP}, http://localhost:3000")


def test_a_201_says_where_the_transaction_is() -> None:
    answer = call("POST", PATH, body=json.dumps(BODY).encode())
    assert answer.status == 201
    assert answer.headers["Location"] == f"{PATH}/{answer.json['transaction_id']}"


def test_a_client_that_has_the_answer_is_told_so_without_it() -> None:
    first = call("GET", ONE)
    tag = first.headers["ETag"]
    again, other, any_, weak = calls(
        request("GET", ONE, [f"If-None-Match: {tag}"]),
        request("GET", ONE, ['If-None-Match: "another"']),
        request("GET", ONE, ["If-None-Match: *"]),
        request("GET", ONE, [f'If-None-Match: "another", W/{tag}']),
    )
    assert [answer.status for answer in (first, again, other, any_, weak)] == [200, 304, 200, 304, 304]
    assert again.body == b""
    assert again.headers["ETag"] == tag
    assert other.body == first.body


def test_the_tag_changes_with_the_transaction() -> None:
    assert call("GET", ONE).headers["ETag"] != call("GET", "/problems").headers["ETag"]


@pytest.mark.parametrize("path", [PATH, ONE, "/health/live", "/metrics", "/problems", "/problems/not-ready"])
def test_head_is_get_without_the_body(path: str) -> None:
    get, head = calls(request("GET", path), request("HEAD", path))
    assert (head.status, head.body) == (get.status, b"")
    for name in ("Content-Type", "ETag"):
        assert head.headers[name] == get.headers[name]


@pytest.mark.parametrize(
    ("path", "methods"),
    [(PATH, "GET, HEAD, OPTIONS, POST"), (ONE, "GET, HEAD, OPTIONS"), ("/health/live", "GET, HEAD, OPTIONS")],
)
def test_options_names_the_methods(path: str, methods: str) -> None:
    answer = call("OPTIONS", path)
    assert (answer.status, answer.headers["Allow"], answer.body) == (204, methods, b"")


def test_options_of_an_unknown_path_is_a_404() -> None:
    assert call("OPTIONS", "/nowhere").status == 404


def test_json_of_a_customers_text_is_never_taken_for_a_page() -> None:
    answer = call("GET", ONE)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


# CORS


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_no_other_sites_page_may_read_anything_by_default(method: str) -> None:
    answer = call(method, PATH, f"Origin: {SHOP}", "Access-Control-Request-Method: GET")
    assert [name for name in answer.headers if name.startswith("Access-Control")] == []


@pytest.mark.parametrize(("path", "status"), [(PATH, 200), ("/nowhere", 404), (f"{PATH}/unreadable", 503)])
def test_a_page_of_an_allowed_origin_may_read_answers_and_errors(path: str, status: int) -> None:
    answer = call("GET", path, f"Origin: {SHOP}", settings=OURS)
    assert answer.status == status
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["Vary"] == "Origin"
    exposed = answer.headers["Access-Control-Expose-Headers"].split(", ")
    assert {"Location", "ETag", "X-Request-Id", "Retry-After"} <= set(exposed)


def test_a_preflight_of_an_allowed_origin_is_answered() -> None:
    asked = [f"Origin: {SHOP}", "Access-Control-Request-Method: POST"]
    answer = call("OPTIONS", PATH, *asked, settings=OURS)
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "Idempotency-Key" in answer.headers["Access-Control-Allow-Headers"]


@pytest.mark.parametrize(
    "origin", ["https://shop.example.evil", "null", "http://shop.example", SHOP + ":444"]
)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_a_foreign_origin_gets_no_leave(method: str, origin: str) -> None:
    asked = [f"Origin: {origin}", "Access-Control-Request-Method: POST"]
    answer = call(method, PATH, *asked, settings=OURS)
    assert [name for name in answer.headers if name.startswith("Access-Control")] == []
    assert answer.headers["Vary"] == "Origin"


def test_a_star_allows_every_origin() -> None:
    answer = call("GET", PATH, "Origin: https://anybody.example", settings=Settings(cors_origins="*"))
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "wrong", ["shop.example", "https://shop.example/", "ftp://x", "https://a b", "https://*.x"]
)
def test_what_is_not_an_origin_ends_the_start(wrong: str) -> None:
    with pytest.raises(ValidationError, match="is not an origin"):
        Settings(cors_origins=wrong)


# Views that others will add


def more_views(app: Any) -> None:
    @app.page("/stream")
    class Stream(View):  # type: ignore[misc]  # Faust is not typed for us
        async def get(self, request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"begun")
            await response.write_eof()
            return response

    @app.page("/only-post")
    class OnlyPost(View):  # type: ignore[misc]
        async def post(self, request: web.Request) -> web.Response:
            return web.Response()

    del Stream, OnlyPost


def test_a_stream_has_the_headers_of_every_answer_before_it_ends() -> None:
    sent = request("GET", "/stream", [f"Origin: {SHOP}", "X-Request-Id: mine"])
    (answer,) = calls(sent, settings=OURS, also=more_views)
    assert (answer.status, answer.body) == (200, b"begun")
    assert answer.headers["X-Request-Id"] == "mine"
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_head_of_what_cannot_be_got_is_a_405_in_our_form() -> None:
    get, head, options = calls(
        *(request(method, "/only-post") for method in ("GET", "HEAD", "OPTIONS")), also=more_views
    )
    assert (get.status, get.headers["Allow"]) == (405, "POST")
    assert get.json["type"] == "/problems/method-not-allowed"
    assert (head.status, head.headers["Content-Type"]) == (405, "application/problem+json")
    assert options.headers["Allow"] == "OPTIONS, POST"


# What is far too large


@pytest.mark.parametrize(
    "sent",
    [
        request("GET", f"{PATH}/{'x' * 1_000_000}"),
        request("GET", f"{PATH}?customer_id={'x' * 1_000_000}"),
        request("GET", f"{PATH}?cursor={'x' * 1_000_000}"),
        request("GET", f"/problems/{'x' * 1_000_000}"),
        request("GET", PATH, ["X-Request-Id: " + "x" * 1_000_000]),
        request("GET", ONE, ["If-None-Match: " + "x" * 1_000_000]),
        request("POST", PATH, ["Idempotency-Key: " + "x" * 1_000_000], b"{}"),
        request("GET", PATH, ["Origin: " + "x" * 1_000_000]),
    ],
    ids=["id", "customer_id", "cursor", "problem", "request id", "tag", "key", "origin"],
)
def test_an_id_of_a_megabyte_is_refused_and_not_repeated(sent: bytes) -> None:
    (answer,) = calls(sent)
    assert answer.status == 400
    assert answer.json["type"] == "/problems/malformed-request"
    assert len(answer.body) < 1000
