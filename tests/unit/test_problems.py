"""Errors over HTTP: problem+json with the old `error` key; a bug is logged once and not shown."""

import asyncio
import json
import logging
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.web.problems import as_problems, problem


def answer(raised: BaseException | None = None) -> web.StreamResponse:
    """What the middleware answers when the handler raises this."""

    async def handler(_: web.Request) -> web.StreamResponse:
        if raised:
            raise raised
        return web.Response(text="fine")

    async def call() -> web.StreamResponse:
        request = make_mocked_request("POST", "/api/v1/somewhere?customer=secret")
        result: web.StreamResponse = await as_problems(request, handler)
        return result

    return asyncio.run(call())


def said(response: web.StreamResponse) -> dict[str, Any]:
    assert isinstance(response, web.Response)
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    body: dict[str, Any] = json.loads(response.body)
    assert body["status"] == response.status
    assert {"type", "title", "detail", "error"} <= set(body)
    return body


def test_a_problem_has_the_standards_keys_and_the_old_one() -> None:
    errors = [{"field": "latitude", "reason": "is missing"}]
    response = problem(400, "Invalid request payload", "latitude: is missing", errors, {"Retry-After": "1"})
    assert response.headers["Retry-After"] == "1"
    assert said(response) == {
        "type": "/problems/invalid-request",
        "title": "Invalid request payload",
        "status": 400,
        "detail": "latitude: is missing",
        "error": "Invalid request payload: latitude: is missing",
        "errors": errors,
    }


def test_an_answer_passes_unchanged() -> None:
    response = answer()
    assert isinstance(response, web.Response)
    assert (response.status, response.text) == (200, "fine")


@pytest.mark.parametrize(
    ("raised", "status", "says"),
    [
        (web.HTTPNotFound(), 404, "no such path"),
        (web.HTTPMethodNotAllowed("POST", {"GET", "HEAD"}), 405, "POST is not allowed here"),
        (
            web.HTTPRequestEntityTooLarge(max_size=16_384, actual_size=16_385),
            413,
            "the body is larger than allowed",
        ),
        (web.HTTPBadRequest(text="why"), 400, "why"),
        (web.HTTPBadRequest(), 400, "400: Bad Request"),
    ],
)
def test_what_no_view_answered_is_a_problem_too(raised: web.HTTPException, status: int, says: str) -> None:
    response = answer(raised)
    assert response.status == status
    assert said(response)["detail"] == says


def test_a_wrong_method_is_answered_with_the_right_ones() -> None:
    assert answer(web.HTTPMethodNotAllowed("POST", ["GET"])).headers["Allow"] == "GET"


def test_a_redirect_is_not_a_problem() -> None:
    with pytest.raises(web.HTTPFound):
        answer(web.HTTPFound("/elsewhere"))


def test_a_bug_is_logged_once_with_its_trace_and_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    response = answer(RuntimeError("row of a customer"))
    assert response.status == 500
    assert "customer" not in json.dumps(said(response))
    (record,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert record.exc_info
    assert "secret" not in record.getMessage()


def test_a_client_that_went_away_is_not_a_bug() -> None:
    with pytest.raises(asyncio.CancelledError):
        answer(asyncio.CancelledError())
