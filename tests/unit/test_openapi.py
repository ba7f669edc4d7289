"""The API's description: valid, of every call, of answers as they are; and no change of it breaks a client."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate
from pydantic import BaseModel

from app.bootstrap import create_app
from app.documents import documents
from app.models.status import Shown, assessed, shown
from app.read_model.read_model import Listing
from app.stores.recent_transactions import entry_of, pending_entry
from app.web import response_models
from app.web.openapi import METHODS, operations
from app.web.problem_types import BY_SLUG
from app.web.problems import problem
from app.web.transactions import _page
from tests.support.breaking_changes import breaking_changes
from tests.unit.samples import status, transaction
from tests.unit.site import call

COPY = Path(__file__).parents[2] / "schemas" / "openapi.json"
#: Paths of pages and of what they load, which no client of the API calls.
PAGES = re.compile(r"/|/favicon.ico|/static/.*|/docs(/.*)?|/problems/problems.css")


@cache
def written() -> str:
    return documents()["openapi.json"]


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(written())
    return found


def test_it_is_what_the_bff_serves_and_valid() -> None:
    answer = call("GET", "/openapi.json")
    assert answer.body.decode() == written()
    validate(answer.json)


def test_every_call_of_every_view_says_what_it_does() -> None:
    views = create_app("bff").web.views
    there = {
        (path, method)
        for path, view in views.items()
        for method in METHODS
        if method.upper() in view.get_methods() and not PAGES.fullmatch(path)
    }
    assert there - {(path, method) for path, method, _ in operations(views)} == set()


def test_an_operation_has_a_name_of_its_own() -> None:
    ids = [said["operationId"] for methods in described()["paths"].values() for said in methods.values()]
    assert len(ids) == len(set(ids)) >= 9


def test_each_problem_leads_to_its_page() -> None:
    linked = set(re.findall(r"\(/problems/([a-z-]+)\)", written()))
    assert linked <= BY_SLUG.keys()
    assert {"invalid-request", "not-acknowledged", "transaction-not-found"} <= linked


def parameter(path: str, name: str) -> str:
    said = described()["paths"][path]["get"]["parameters"]
    return next(str(one["description"]) for one in said if one["name"] == name)


def test_a_reader_sees_what_a_parameter_takes_without_trying_it() -> None:
    assert "(1 to 1000; default 100)" in parameter(LIST, "limit")
    assert "(1 to 255 characters)" in parameter(LIST, "customer_id")
    assert "(0 to 30)" in parameter(f"{LIST}/{{transaction_id}}", "wait")


def test_the_stream_has_an_example_that_is_read_as_the_page_reads_it() -> None:
    content = described()["paths"][f"{LIST}/events"]["get"]["responses"]["200"]["content"]
    blocks = content["text/event-stream"]["example"].strip().split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == [
        "retry: 1000",
        "event: pending",
        "id: 0:812,1:790,2:4,3:77",
        ": heartbeat",
    ]


def test_each_problem_is_shown_as_it_comes_with_the_path_of_its_page() -> None:
    shown = described()["components"]["examples"]
    assert shown.keys() == BY_SLUG.keys()
    for slug, example in shown.items():
        assert example["value"]["type"] == f"/problems/{slug}"
        as_described(response_models.Problem, json.dumps(example["value"]))
    for methods in described()["paths"].values():
        for said in methods.values():
            for code, answer in said["responses"].items():
                for slug in answer.get("content", {}).get("application/problem+json", {}).get("examples", ()):
                    assert str(shown[slug]["value"]["status"]) == code


def test_transactions_come_first_and_every_call_is_under_a_known_heading() -> None:
    names = [tag["name"] for tag in described()["tags"]]
    assert names[0] == "transactions"
    used = {
        tag for methods in described()["paths"].values() for said in methods.values() for tag in said["tags"]
    }
    assert used == set(names)


# Answers are put together as text; these are the models that describe them.


def as_described(model: type[BaseModel], text: str) -> None:
    """Every key is described, and of its type."""
    given = json.loads(text)
    assert given.keys() <= model.model_fields.keys()
    model.model_validate_json(text, strict=True)


def test_an_entry_has_the_contracts_keys_and_no_other() -> None:
    assert response_models.Transaction.model_fields.keys() == Shown.__annotations__.keys()


def test_one_transaction_is_as_described_from_redis_and_from_cassandra() -> None:
    undecided = status(
        score=None, threshold=None, replica=None, model_version=None, reason="antifraud_unavailable"
    )
    for one in (status(), undecided):
        as_described(response_models.AssessedTransaction, entry_of(one)[2].split("\n")[2])
        row = {**shown(one, one["status"]), **assessed(one)}
        as_described(response_models.AssessedTransaction, json.dumps(row))
    as_described(response_models.AssessedTransaction, pending_entry(transaction())[2].split("\n")[2])


@pytest.mark.parametrize("last", [None, "0027067995:x"])
def test_a_page_is_as_described(last: str | None) -> None:
    entry = entry_of(status())[2].split("\n")[1]
    for listing in (
        Listing([entry, entry], last, "redis", may_lack=False),
        Listing([], last, "cassandra", may_lack=True, being_rebuilt=True, one_replica=True),
    ):
        as_described(response_models.TransactionPage, _page(listing))


def test_a_problem_is_as_described() -> None:
    answer = problem(400, "Invalid request payload", "x", [{"field": "a", "reason": "b"}])
    assert isinstance(answer.body, bytes)
    as_described(response_models.Problem, answer.body.decode())


# A change


def test_no_client_of_the_committed_description_is_broken() -> None:
    assert breaking_changes(json.loads(COPY.read_text()), described()) == []


def test_the_committed_description_is_current() -> None:
    assert COPY.read_text() == written(), "write it anew: .venv/bin/python -m app.documents"


LIST = "/api/v1/transactions"


def _without(path: str) -> Callable[[Any], None]:
    """Takes away what a path of keys leads to."""

    def change(document: Any) -> None:
        *way, last = path.split("|")
        for key in way:
            document = document[int(key) if isinstance(document, list) else key]
        del document[int(last) if isinstance(document, list) else last]

    return change


def _with(path: str, value: Any) -> Callable[[Any], None]:
    def change(document: Any) -> None:
        *way, last = path.split("|")
        for key in way:
            document = document[int(key) if isinstance(document, list) else key]
        document[last] = value

    return change


BREAKS = {
    "a path is gone": _without(f"paths|{LIST}"),
    "a method is gone": _without(f"paths|{LIST}|post"),
    "an answer is gone": _without(f"paths|{LIST}|post|responses|201"),
    "an answer is another media type": _with(
        f"paths|{LIST}|get|responses|200|content", {"text/plain": {"schema": {}}}
    ),
    "a header is gone": _without(f"paths|{LIST}|post|responses|201|headers|Location"),
    "a parameter is gone": _without(f"paths|{LIST}|get|parameters|1"),
    "a parameter takes less": _with(f"paths|{LIST}|get|parameters|0|schema|maximum", 10),
    "a parameter takes fewer words": _with(f"paths|{LIST}|get|parameters|2|schema|enum", ["pending"]),
    "a parameter is required": _with(f"paths|{LIST}|get|parameters|0|required", True),
    "a name of a generated client": _with(f"paths|{LIST}|get|operationId", "list"),
    "a field of an answer is gone": _without("components|schemas|Transaction|properties|latitude"),
    "a field of an answer is another type": _with(
        "components|schemas|Transaction|properties|latitude|type", "string"
    ),
    "a field of an answer may be null": _with(
        "components|schemas|Transaction|properties|latitude",
        {"anyOf": [{"type": "number"}, {"type": "null"}]},
    ),
    "a field of an answer may be missing": _with(
        "components|schemas|Transaction|required", ["transaction_id"]
    ),
    "an answer has a new word": _with(
        "components|schemas|Transaction|properties|status|enum", ["pending", "accepted", "rejected", "held"]
    ),
    "a request needs more": _with(
        "components|schemas|TransactionRequest|required",
        [*response_models.Transaction.model_fields],
    ),
    "a request's field takes less": _with(
        "components|schemas|TransactionRequest|properties|description|maxLength", 9
    ),
    "a request's field is another type": _with(
        "components|schemas|TransactionRequest|properties|value_in_cents|type", "string"
    ),
}
FITS = {
    "nothing": lambda document: None,
    "a new path": _with("paths|/new", {"get": {"operationId": "x", "responses": {}}}),
    "a new answer": _with(f"paths|{LIST}|get|responses|418", {}),
    "a new field of an answer": _with("components|schemas|Transaction|properties|new", {"type": "string"}),
    "a request needs less": _with("components|schemas|TransactionRequest|required", []),
    "a request's field takes more": _with(
        "components|schemas|TransactionRequest|properties|description|maxLength", 9999
    ),
    "a request's field may be null": _with(
        "components|schemas|TransactionRequest|properties|latitude",
        {"anyOf": [{"type": "number"}, {"type": "null"}]},
    ),
}


@pytest.mark.parametrize("change", BREAKS.values(), ids=BREAKS)
def test_what_breaks_a_client_is_found(change: Callable[[Any], None]) -> None:
    after = copy.deepcopy(described())
    change(after)
    assert len(breaking_changes(described(), after)) >= 1


@pytest.mark.parametrize("change", FITS.values(), ids=FITS)
def test_what_breaks_nobody_is_accepted(change: Callable[[Any], None]) -> None:
    after = copy.deepcopy(described())
    change(after)
    assert breaking_changes(described(), after) == []
