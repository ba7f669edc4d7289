"""GET /api/v1/system on the running stack: who dies or hangs is shown within 2 s, with what it costs, and back."""

from __future__ import annotations

import time
from typing import Any

import pytest

from infra.native import stack
from tests.support import http, log
from tests.support.dead import kill, whole
from tests.support.meanwhile import again_and_again

pytestmark = pytest.mark.usefixtures("whole_again")

PATH = "/api/v1/system"
PARTS = {
    *("kafka", "registry", "cassandra-1", "cassandra-2", "cassandra-3", "redis"),
    *("antifraud-1", "antifraud-2", "envoy", "bff", "transactions"),
}
#: Seconds: the promise, and what a busy machine takes.
WITHIN, MARGIN = 2.0, 1.0


def system() -> dict[str, Any]:
    """The document; it never lets wait."""
    began = time.monotonic()
    answer = http.call("GET", PATH)
    assert answer.status == 200
    assert time.monotonic() - began < 1.5
    return dict(answer.json)


def part(name: str) -> dict[str, Any]:
    """What is shown of a part; of one that is not listed, nothing."""
    return next((dict(one) for one in system()["parts"] if one["name"] == name), {})


def becomes(
    state: str, *names: str, since: float | None = None, within: float = 20.0
) -> list[dict[str, Any]]:
    """The parts, once they are all in that state: at most `within` seconds after `since`."""
    deadline = (since or time.monotonic()) + within
    while not all((found := part(name)).get("state") == state for name in names):
        assert time.monotonic() < deadline, f"not {state} within {within} s: {names}, {found}"
        time.sleep(0.1)
    return [part(name) for name in names]


def is_shown(state: str, *names: str, since: float) -> list[dict[str, Any]]:
    """The same, as quickly as is promised."""
    return becomes(state, *names, since=since, within=WITHIN + MARGIN)


@pytest.mark.long
def test_each_part_that_dies_or_hangs_is_shown_within_two_seconds_and_when_it_is_back() -> None:
    http.final(http.taken(), within=30)
    becomes("up", *PARTS)
    assert {one["name"] for one in system()["parts"]} == PARTS
    assert {one["cost"] for one in system()["parts"]} == {""}

    began = time.monotonic()
    kill("redis")
    (redis,) = is_shown("down", "redis", since=began)
    assert "GET reads Cassandra" in redis["cost"]
    assert abs(redis["since"] - time.time()) < 5

    for name, cost in (("cassandra-3", "at quorum"), ("antifraud-2", "without a false rejection")):
        began = time.monotonic()
        stack.pause(name)
        (hung,) = is_shown("down", name, since=began)
        assert cost in hung["cost"]
        began = time.monotonic()
        stack.resume(name)
        becomes("up", name)

    began = time.monotonic()
    kill("transactions")
    (worker,) = is_shown("down", "transactions", since=began)
    assert "stay pending" in worker["cost"]
    ids = [http.taken() for _ in range(3)]
    lag = behind(3)
    assert lag["seconds"] > 0
    assert sum(one["records"] for one in lag["partitions"]) == lag["records"]

    whole()
    becomes("up", *PARTS)
    for id_ in ids:
        http.final(id_, within=30)
    marks = http.call("GET", f"{PATH}/series").json["marks"]
    for name in ("redis", "cassandra-3", "antifraud-2", "transactions"):
        assert [mark["state"] for mark in marks if mark["part"] == name][-2:] == ["down", "up"]


def behind(records: int) -> dict[str, Any]:
    """The lag, once so many records wait and it is known how old the oldest is."""
    deadline = time.monotonic() + 10
    while (lag := system()["lag"])["records"] < records or not lag["seconds"]:
        assert time.monotonic() < deadline, lag
        time.sleep(0.2)
    return dict(lag)


def test_without_kafka_the_document_is_there_within_a_second_and_a_half() -> None:
    becomes("up", "kafka")
    began = time.monotonic()
    stack.pause("kafka")
    (kafka,) = is_shown("down", "kafka", since=began)
    assert "503" in kafka["cost"]
    assert part("redis")["state"] == "up"
    stack.resume("kafka")
    becomes("up", *PARTS)


@pytest.mark.long
def test_the_document_stays_fresh_while_kafka_dies_and_comes_back() -> None:
    ages: list[float] = []

    def look() -> None:
        ages.append(time.time() - system()["at"])

    becomes("up", *PARTS)
    with again_and_again(look, pause=0.3):
        began = time.monotonic()
        kill("kafka")
        (kafka,) = is_shown("down", "kafka", since=began)
        assert "503" in kafka["cost"]
        time.sleep(3)
        whole()
        becomes("up", *PARTS)
        assert part("kafka")["cost"] == ""
    assert len(ages) > 10
    assert max(ages) < WITHIN + MARGIN
    # So do the other jobs of the bff: what is posted now is followed from the log to the stores.
    counted = system()["truth"]["decided"]
    http.final(http.taken(), within=30)
    log.wait_until(lambda: system()["truth"]["decided"] > counted, 30, "the audit reads the log again")
    log.wait_until(lambda: system()["truth"]["state"] == "ok", 30, "and all is true")


def test_a_refused_call_is_among_the_answers_with_its_request_id() -> None:
    refused = http.post({"value_in_cents": -1})
    deadline = time.monotonic() + 3
    while not (found := system()["answers"]) or found[0]["request_id"] != refused.json["request_id"]:
        assert time.monotonic() < deadline, found[:1]
        time.sleep(0.2)
    assert (found[0]["status"], found[0]["method"], found[0]["path"]) == (400, "POST", "/api/v1/transactions")
