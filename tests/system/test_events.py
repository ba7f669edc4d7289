"""Who listens to the events, or waits for a status, learns of it as it happens, and misses nothing."""

from __future__ import annotations

import json
import socket
import statistics
import time
from collections import Counter
from contextlib import ExitStack
from urllib.parse import quote, urlsplit

import pytest

from infra.native import stack
from reconciliation.readers import PATH, bff_url
from tests.support import http, log
from tests.support.dead import kill
from tests.support.events import listener
from tests.support.load import customers


def test_a_transaction_is_seen_pending_and_then_decided_as_get_shows_it() -> None:
    with listener() as one:
        id_ = http.taken()
        event = one.wait_for(id_)
        assert one.wait_for(id_, "pending")["status"] == "pending"
    shown = http.final(id_)
    assert {name: event[name] for name in shown} == shown
    place = event["status_partition"], event["status_offset"]
    (value,) = [r.value for r in log.read(log.STATUS) if (r.partition, r.offset) == place]
    assert log.decoded(value)["transaction_id"] == id_


def test_a_filter_hears_of_one_customer_alone() -> None:
    with listener("?customer_id=only-me") as one:
        http.taken()
        id_ = http.taken({"customer_id": "only-me"})
        one.wait_for(id_)
        assert {heard["customer_id"] for heard in one.heard} == {"only-me"}


def _missed_nothing_over_kills_of_the_bff(kills: int, rate: float, every: float) -> None:
    with listener() as one:
        with customers(rate) as calls:
            for _ in range(kills):
                time.sleep(every)
                kill("bff")
                stack.start("bff")
            time.sleep(every)
        ids = calls.ids
        for id_ in ids[-20:]:
            one.wait_for(id_, within=30)
        time.sleep(1)
        heard = Counter(event["transaction_id"] for event in one.of("status"))
        assert one.of("gap") == []
        assert one.connections > kills
    assert [id_ for id_ in ids if id_ not in heard] == []
    assert {id_: n for id_, n in heard.items() if n > 1} == {}
    print(f"{len(ids)} heard, each once, over {kills} kills of the bff")  # noqa: T201


def test_a_listener_misses_nothing_when_the_bff_is_killed(whole_again: None) -> None:
    _missed_nothing_over_kills_of_the_bff(kills=1, rate=100, every=2)


@pytest.mark.long
def test_a_listener_misses_nothing_over_twenty_kills_of_the_bff(whole_again: None) -> None:
    _missed_nothing_over_kills_of_the_bff(kills=20, rate=150, every=7)


def test_who_was_away_for_long_gets_what_it_has_missed_from_the_log() -> None:
    with listener() as one:
        before = one.last_id
    ids = [http.taken() for _ in range(30)]
    for id_ in ids:
        http.final(id_)
    with listener(last_id=before) as one:
        for id_ in ids:
            one.wait_for(id_)
        assert all(n == 1 for n in Counter(e["transaction_id"] for e in one.of("status")).values())
    with listener(last_id="0:0,1:0,2:0,3:0") as one:
        for id_ in ids:
            one.wait_for(id_, within=20)


def test_an_id_of_another_log_is_told_so_and_goes_on() -> None:
    with listener(last_id="0:999999999") as one:
        deadline = time.monotonic() + 10
        while not one.of("gap"):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert one.of("gap")[0]["from"] == "0:999999999"
        one.wait_for(http.taken())


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ("?status=done", {}, "status"),
        ("?customer_id=", {}, "customer_id"),
        ("?color=red", {}, "color"),
        ("", {"Last-Event-ID": "x" * 5_000}, "Last-Event-ID"),
        ("?last_event_id=0:-1", {}, "Last-Event-ID"),
    ],
)
def test_wrong_requests_for_events_are_refused(query: str, headers: dict[str, str], field: str) -> None:
    answer = http.call("GET", f"{PATH}/events{query}", headers=headers)
    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == field


def test_beyond_the_bound_of_listeners_one_is_refused_and_the_others_go_on() -> None:
    target = urlsplit(bff_url())
    with ExitStack() as open_:
        answers = Counter[bytes]()
        for _ in range(520):
            one = open_.enter_context(socket.create_connection((target.hostname, target.port), timeout=10))
            one.sendall(f"GET {PATH}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answers[one.recv(12)] += 1
        assert answers == {b"HTTP/1.1 200": 500, b"HTTP/1.1 503": 20}
        assert http.final(http.taken())
    deadline = time.monotonic() + 15
    while http.call("HEAD", f"{PATH}/events").status != 200:
        assert time.monotonic() < deadline, "their room was not given back"
        time.sleep(0.2)


def test_who_waits_gets_the_status_as_soon_as_it_is_published() -> None:
    took = []
    for _ in range(20):
        id_ = http.taken()
        answer = http.call("GET", f"{PATH}/{id_}?wait=5")
        now = time.time() * 1000
        assert answer.json["status"] in http.FINAL
        took.append(now - answer.json["decided_at"])
    print(f"answered {statistics.median(took):.0f} ms after the decision (median)")  # noqa: T201
    assert statistics.median(took) < 200


def test_who_waits_in_vain_is_told_that_it_is_pending_when_the_time_is_over(whole_again: None) -> None:
    kill("transactions")
    id_ = http.taken()
    began = time.monotonic()
    answer = http.call("GET", f"{PATH}/{id_}?wait=1.5")
    assert 1.4 < time.monotonic() - began < 3
    assert answer.json["status"] == "pending"


@pytest.mark.parametrize("wait", ["31", "-1", "x", "", "٣"])
def test_a_wait_out_of_range_is_refused(wait: str) -> None:
    answer = http.call("GET", f"{PATH}/{http.taken()}?wait={quote(wait)}")
    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == "wait"


def test_nobody_waits_for_an_id_that_does_not_exist() -> None:
    began = time.monotonic()
    assert http.call("GET", f"{PATH}/no-such-id?wait=10").status == 404
    assert time.monotonic() - began < 5


def test_the_way_of_a_transaction_is_shown_step_by_step() -> None:
    id_ = http.taken({"description": "<script>alert(1)</script>"})
    http.final(id_)
    time.sleep(0.5)  # a row follows its status
    found = json.loads(http.call("GET", f"{PATH}/{id_}/history").body)
    steps = {step["step"]: step for step in found["steps"]}
    assert list(steps) == ["received", "logged", "assessed", "published", "stored", "shown"]
    assert steps["received"]["at_ms"] <= steps["assessed"]["at_ms"] <= steps["published"]["at_ms"] + 1
    assert steps["assessed"]["replica"] in ("antifraud-1", "antifraud-2")
    assert steps["assessed"]["batch_size"] >= 1
    assert steps["stored"]["consistency"] == "ALL"
    assert steps["shown"] == {**steps["shown"], "store": "redis", "revision": 1}
    assert found["record"]["json"]["transaction_id"] == id_
    assert (
        found["status_record"]["json"]["source_offset"]
        == steps["logged"]["offset"]
        == found["record"]["offset"]
    )
    assert http.call("GET", f"{PATH}/no-such-id/history").status == 404
