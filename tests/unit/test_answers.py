"""A request is answered as asked, or refused with the reason and without internals."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from app.errors import LogUnavailable, NotPublished, StoreUnavailable
from app.live.waits import StatusWaits
from app.observability.transaction_logger import TransactionLogger
from app.read_model.read_model import Listing
from app.resources import Resources
from app.settings import Settings
from app.web.transactions import PATH, Calls, _not_acknowledged

ID = "16f051bb-14e0-4fda-95e5-507d01ea37dc"


class Reads:
    """A read model with one transaction, stored under this id."""

    def __init__(self, stored: str = ID) -> None:
        self.stored = stored

    async def find(self, transaction_id: str) -> str | None:
        if transaction_id == "unreadable":
            raise StoreUnavailable("Cassandra: NoHostAvailable: {'10.1.2.3:9042': ConnectionRefusedError}")
        return json.dumps({"transaction_id": self.stored}) if transaction_id == self.stored else None

    async def newest(self, limit: int, before: str | None) -> Listing:
        return Listing([], None, "redis", may_lack=False)


def answer(query: str = "", id_: str | None = None, stored: str = ID) -> tuple[int, dict[str, Any]]:
    async def call() -> web.Response:
        resources, logger, waits = Resources(Settings(), ()), TransactionLogger(False), StatusWaits()
        calls = Calls(resources, logger, Reads(stored), None, waits, [].append, lambda: True)  # type: ignore[arg-type]
        request = make_mocked_request("GET", PATH + query)
        return await (calls.list(request) if id_ is None else calls.find(request, id_))

    response = asyncio.run(call())
    assert isinstance(response.body, bytes)
    return response.status, json.loads(response.body)


@pytest.mark.parametrize("name", ["customer", "Status", "Limit", "limit%20"])
def test_an_unknown_parameter_of_the_list_is_named_and_so_are_the_known_ones(name: str) -> None:
    status, body = answer(f"?limit=5&{name}=x")
    assert status == 400
    assert body["errors"] == [
        {
            "field": name.replace("%20", " "),
            "reason": "is not a known query parameter; known here: limit, cursor, status, customer_id",
        }
    ]


def test_a_parameter_of_the_call_for_one_is_refused_and_known_ones_are_accepted() -> None:
    assert answer("?limit=5", ID)[0] == 400
    assert answer("", ID)[0] == 200
    assert answer("?limit=5")[0] == 200


def test_a_clients_own_text_is_not_repeated_at_length() -> None:
    assert len(answer("?" + "x" * 5000 + "=1")[1]["error"]) < 250


@pytest.mark.parametrize(("asked", "stored"), [(ID.upper(), ID), (ID, ID), (ID.upper(), ID.upper())])
def test_an_id_is_found_in_capitals_too(asked: str, stored: str) -> None:
    status, body = answer("", asked, stored)
    assert (status, body["transaction_id"]) == (200, stored)


def test_a_store_that_does_not_answer_is_reported_without_the_drivers_text_and_addresses() -> None:
    status, body = answer("", "unreadable")
    assert (status, body["detail"]) == (503, "neither Redis nor Cassandra answers")


def test_a_post_that_kafka_did_not_accept_is_reported_without_the_drivers_text_and_addresses() -> None:
    inside = NotPublished("Kafka: KafkaConnectionError: 10.1.2.3:9092")
    inside.__cause__ = OSError("10.1.2.3:9092")
    assert b"10.1.2.3" not in bytes(_not_acknowledged(inside).body or b"")  # type: ignore[arg-type]
    assert b"within 1.8 s" in bytes(_not_acknowledged(LogUnavailable("no answer within 1.8 s")).body or b"")  # type: ignore[arg-type]
