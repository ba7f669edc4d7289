"""The last problem answers, and who may send dead letters back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from pydantic import BaseModel

from app.errors import LogUnavailable
from app.live.audit import Audit
from app.system import rates
from app.system.dead_letters import AtWork, CannotBeSentBack, DeadLetters, NoSuchDeadLetter, NotAllSent
from app.system.groups import Groups
from app.system.lag import Lag
from app.system.parts import Mark
from app.system.series import Series, point
from app.web import cors, dead_letters, recent_answers, system_models
from app.web.problems import problem
from app.web.validation import InvalidRequest
from tests.unit.virtual_time import run

PATH = "/api/v1/dead-letters/0:7/send-back"
JSON = {"Host": "localhost:5001", "Content-Type": "application/json"}


OURS = SimpleNamespace(canonical="/api/v1/transactions")


@pytest.fixture(autouse=True)
def _none_yet() -> None:
    recent_answers._recent.clear()


def noted(
    method: str = "POST",
    path: str = "/api/v1/transactions",
    answer: web.Response | None = None,
    resource: Any = OURS,
) -> None:
    request = make_mocked_request(method, path)
    request._match_info = SimpleNamespace(route=SimpleNamespace(resource=resource))  # type: ignore[assignment]
    recent_answers.note(request, answer or problem(503, "Not acknowledged", "Kafka is away"))


def test_a_problem_answer_is_kept_with_what_one_needs_to_find_its_reason() -> None:
    noted()
    (one,) = recent_answers.newest()
    assert one.pop("at") > 0
    assert one == {
        "method": "POST", "path": "/api/v1/transactions", "status": 503, "title": "Not acknowledged",
        "type": one["type"], "detail": "Kafka is away", "request_id": one["request_id"],
    }  # fmt: skip


def test_the_last_hundred_are_kept_newest_first_and_what_clients_sent_is_cut() -> None:
    for number in range(120):
        noted(answer=problem(400, "Invalid", f"{number} " + "x" * 10_000))
    found = recent_answers.newest()
    assert len(found) == recent_answers.KEPT
    assert found[0]["detail"].startswith("119 ")
    assert {len(one["detail"]) for one in found} == {recent_answers.DETAIL_MOST}


def test_good_answers_and_the_probes_of_health_are_not_among_them() -> None:
    noted(answer=web.json_response({}))
    noted("GET", "/health/ready")
    assert recent_answers.newest() == []


def test_a_request_that_no_router_has_seen_has_no_path_of_ours() -> None:
    request = make_mocked_request("BREW" * 10, "/tea")
    request._match_info = None
    recent_answers.note(request, problem(400, "Bad", "no"))
    (one,) = recent_answers.newest()
    assert (one["path"], len(one["method"])) == ("other", 16)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/favicon.png", "/favicon.png"),
        ("/wp-admin/setup.php?token=secret", "/wp-admin/setup.php"),
        ("/a%20b%3Cscript%3E%00%E2%82%AC", "/a%20b%3Cscript%3E%00%E2%82%AC"),
        ("/" + "x" * 59, "/" + "x" * 59),
        ("/" + "x" * 9000, "/" + "x" * 59 + "…"),
        ("/" + "%E2%82%AC" * 50, "/" + "%E2%82%AC" * 6 + "…"),
    ],
)
def test_of_a_path_that_is_none_of_ours_the_beginning_is_shown_escaped(path: str, shown: str) -> None:
    noted("GET", path, resource=None)
    (one,) = recent_answers.newest()
    assert one["path"] == shown
    assert len(one["path"]) <= recent_answers.PATH_MOST + 1


# Sending back


@pytest.mark.parametrize(
    ("origin", "is_foreign"),
    [
        (None, False),
        ("http://localhost:5001", False),
        ("https://LOCALHOST:5001", False),
        ("http://localhost:5002", True),
        ("http://evil.example", True),
        ("http://localhost:5001.evil.example", True),
        ("null", True),
        ("", True),
    ],
)
def test_a_page_of_another_origin_is_foreign(origin: str | None, is_foreign: bool) -> None:
    headers = JSON if origin is None else {**JSON, "Origin": origin}
    assert cors.is_foreign(make_mocked_request("POST", PATH, headers=headers)) == is_foreign


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_a_form_of_another_site_cannot_send_back(kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    with pytest.raises(InvalidRequest, match="Content-Type"):
        dead_letters.check(make_mocked_request("POST", PATH, headers=headers), "0:7")


@pytest.mark.parametrize("place", ["", "0", "0:", "0:-1", "a:1", "0:1:2", "ALL", "٣:1", "1" * 99 + ":1"])
def test_what_is_no_id_is_refused(place: str) -> None:
    with pytest.raises(InvalidRequest, match="PARTITION:OFFSET"):
        dead_letters.check(make_mocked_request("POST", PATH, headers=JSON), place)


@pytest.mark.parametrize(
    ("raised", "status", "detail"),
    [
        (None, 202, None),
        (NoSuchDeadLetter("none has it"), 404, "none has it"),
        (CannotBeSentBack("a part"), 409, "a part"),
        (AtWork("another"), 409, "another"),
        (NotAllSent("3 of 7"), 503, "3 of 7"),
        (LogUnavailable("10.0.0.7:9092"), 503, "Kafka does not answer"),
    ],
)
def test_what_becomes_of_it_is_a_clear_answer(
    raised: Exception | None, status: int, detail: str | None
) -> None:
    async def send_back(_: str) -> int:
        if raised:
            raise raised
        return 1

    box: Any = SimpleNamespace(send_back=send_back)
    answer = run(dead_letters.send_back(box, make_mocked_request("POST", PATH, headers=JSON), "0:7"))
    body = json.loads(answer.body)  # type: ignore[arg-type]
    assert (answer.status, body.get("detail")) == (status, detail)
    assert body.get("sent_back", 1) == 1


def test_a_second_call_does_not_wait_for_the_first() -> None:
    async def situation() -> None:
        found = DeadLetters(SimpleNamespace())  # type: ignore[arg-type]
        async with found._sending:
            await found.send_back("all")

    with pytest.raises(AtWork):
        run(situation())


# As described


def as_described(model: type[BaseModel], found: Any) -> None:
    """Every key is in the API's description, and of its type."""
    text = json.dumps(found)
    names = {field.alias or name for name, field in model.model_fields.items()}
    assert json.loads(text).keys() <= names
    model.model_validate_json(text, strict=True)


def test_the_answers_are_as_described() -> None:
    noted()
    for one in recent_answers.newest():
        as_described(system_models.ProblemAnswer, one)
    lag = Lag(SimpleNamespace())  # type: ignore[arg-type]
    lag.update(Groups({}, {0: 5}, {0: 5, 1: 7}), {1: 2.5}, 1000.0)
    as_described(system_models.SystemLag, lag.document(1000.0))
    for arrow in rates.arrows({("payments_assessments_total", (("replica", "antifraud-1"),)): 5.0}):
        as_described(system_models.Arrow, arrow)
    for shares in rates.steps({"transactions": {(rates.BUSY, (("step", "decide"),)): 0.5}}):
        as_described(system_models.StepShares, shares)
    as_described(system_models.Consistency, rates.consistency({}))
    charts = Series()
    charts.add(point(1000.0, 1.0, {}, None))
    as_described(system_models.SystemSeries, charts.document(1.0, [Mark(1000.0, "redis", "down")]))


def test_the_truth_is_as_described() -> None:
    counts = dict.fromkeys(Audit().snapshot(), 0)
    found = {"since": 1.0, "at": None, **counts, "state": "unknown", "words": "not begun"}
    as_described(system_models.Truth, found)
    assert system_models.Truth.model_fields.keys() == found.keys()
