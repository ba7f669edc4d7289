"""POST with an Idempotency-Key: one transaction per key, whatever dies or hangs between two tries."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPException
from typing import Any

import pytest

from infra.native import stack
from reconciliation import readers
from reconciliation.reconcile import is_flipped
from tests.support import http, log

NODES = ("cassandra-1", "cassandra-2", "cassandra-3")


class Purchase:
    """A request with its own key, recognisable by its description."""

    def __init__(self, before: log.Offsets | None = None) -> None:
        self.key = str(uuid.uuid4())
        self.before = before or log.ends(log.CREATED)

    def post(self, **changes: Any) -> http.Answer:
        body = {"description": f"purchase {self.key}", **changes}
        return http.post(body, {"Content-Type": "application/json", "Idempotency-Key": self.key})

    def taken(self, within: float = 0.0) -> str:
        """Its id; retried until it is accepted, as a client would."""
        deadline = time.monotonic() + within
        while (answer := self.post()).status != 201:
            assert answer.status in (409, 503), answer
            assert answer.headers["Retry-After"]
            assert time.monotonic() < deadline, answer
            time.sleep(0.2)
        return str(answer.json["transaction_id"])

    def records(self) -> list[dict[str, Any]]:
        """Its records in transaction_created."""
        found = [log.decoded(record.value) for record in log.read(log.CREATED, self.before)]
        return [record for record in found if self.key in record["description"]]


@pytest.fixture
def purchase() -> Purchase:
    return Purchase()


@contextmanager
def paused(*names: str) -> Iterator[None]:
    for name in names:
        stack.pause(name)
    try:
        yield
    finally:
        for name in names:
            stack.resume(name)


def bff() -> str:
    return "bff" if stack.current_mode() == "split" else "main"


def restarted() -> None:
    stack.kill(bff())
    stack.start(bff())


def verdicts_of(id_: str) -> list[readers.Verdict]:
    """All its published verdicts, once nothing is in flight."""
    http.final(id_, within=30)
    group = "transactions" if bff() == "bff" else "main"
    log.wait_until(lambda: log.lag(group) == 0, 30, "the worker has caught up")
    return asyncio.run(readers.published([id_]))[id_]


def test_the_same_key_and_body_are_one_transaction(purchase: Purchase) -> None:
    first, again = purchase.post(), purchase.post()
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    (record,) = purchase.records()
    assert record["transaction_id"] == first.json["transaction_id"]
    assert len(verdicts_of(record["transaction_id"])) == 1


def test_another_body_under_the_same_key_is_refused(purchase: Purchase) -> None:
    purchase.taken()
    answer = purchase.post(value_in_cents=1)
    assert answer.status == 422
    assert "Idempotency-Key" in answer.json["error"]
    assert len(purchase.records()) == 1


def test_another_key_is_another_transaction_of_the_same_body(purchase: Purchase) -> None:
    first, purchase.key = purchase.taken(), str(uuid.uuid4())
    assert purchase.taken() != first


def test_twenty_at_once_are_one_transaction(purchase: Purchase) -> None:
    with ThreadPoolExecutor(20) as threads:
        answers = list(threads.map(lambda _: purchase.post(), range(20)))
    assert {answer.status for answer in answers} <= {201, 409}
    ids = {answer.json["transaction_id"] for answer in answers if answer.status == 201}
    assert all(answer.headers["Retry-After"] for answer in answers if answer.status == 409)
    assert ids == {purchase.taken()}
    assert len(purchase.records()) == 1


@pytest.mark.long
def test_the_bff_dies_after_its_answer(purchase: Purchase) -> None:
    first = purchase.taken()
    restarted()
    assert purchase.post().json["transaction_id"] == first
    assert len(purchase.records()) == 1


def test_without_redis(purchase: Purchase) -> None:
    with paused("redis"):
        first = purchase.taken()
        assert purchase.taken() == first
    assert len(purchase.records()) == 1


def test_with_one_cassandra_node_that_hangs() -> None:
    for node in NODES:
        with paused(node):
            for _ in range(4):
                purchase = Purchase()
                # a busy machine may need a second try: what matters is that there is one id
                assert purchase.taken(within=30) == purchase.taken(within=30)


def test_without_cassandra_nobody_guesses(purchase: Purchase) -> None:
    before = purchase.taken()
    with paused(*NODES):
        began = time.monotonic()
        answer = purchase.post()
        assert time.monotonic() - began < 3
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert "Idempotency-Key" in answer.json["detail"]
        fresh = Purchase()
        assert fresh.post().status == 503
        assert fresh.records() == []
        began = time.monotonic()
        assert http.post().status == 201
        assert time.monotonic() - began < 1, "a call without a key waits for no store"
    assert purchase.taken(within=30) == before
    assert len(purchase.records()) == 1
    fresh.taken(within=30)
    assert len(fresh.records()) == 1


def test_the_bff_dies_between_reserving_the_key_and_kafkas_answer(purchase: Purchase) -> None:
    with paused("kafka"):
        answer = purchase.post()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        stack.kill(bff())
    stack.start(bff())
    id_ = purchase.taken(within=15)
    assert purchase.taken() == id_
    assert {record["transaction_id"] for record in purchase.records()} == {id_}
    assert len(verdicts_of(id_)) == 1


def test_the_outcome_was_not_known_and_the_record_did_land(purchase: Purchase) -> None:
    with paused("kafka"):
        assert purchase.post().status == 503
    log.wait_until(lambda: len(purchase.records()) == 1, 20, "it landed after all")
    id_ = purchase.taken(within=15)
    first, second = purchase.records()
    assert first == second
    assert first["transaction_id"] == id_
    assert len(verdicts_of(id_)) == 1


def test_both_records_are_in_one_batch_and_undecided(purchase: Purchase) -> None:
    if bff() == "main":
        pytest.fail("this test needs split mode")
    stack.stop("transactions")
    try:
        with paused("kafka"):
            assert purchase.post().status == 503
        id_ = purchase.taken(within=15)
    finally:
        stack.start("transactions")
    assert [record["transaction_id"] for record in purchase.records()] == [id_, id_]
    assert len(verdicts_of(id_)) == 1


def test_without_a_quorum_the_log_answers_and_the_worker_goes_on(purchase: Purchase) -> None:
    if bff() == "main":
        pytest.fail("this test needs split mode")
    with paused("kafka"):
        assert purchase.post().status == 503
    log.wait_until(lambda: len(purchase.records()) == 1, 20, "it landed after all")
    http.final(purchase.records()[0]["transaction_id"], within=30)
    stack.pause("transactions")
    try:
        id_ = purchase.taken(within=15)
        stack.pause("cassandra-2")
        stack.pause("cassandra-3")
        stack.resume("transactions")
        # Gossip takes 12 to 24 s to mark the two down; until the driver hears of it two of three tries go to them.
        log.wait_until(
            lambda: log.lag("transactions") == 0, 90, "the worker has passed over the second record"
        )
    finally:
        for name in ("transactions", "cassandra-2", "cassandra-3"):
            stack.resume(name)
    assert [record["transaction_id"] for record in purchase.records()] == [id_, id_]
    assert len(verdicts_of(id_)) == 1


@pytest.mark.parametrize("key", ["", "with space", "a" * 256, "ключ".encode().decode("latin-1"), "tab\tbed"])
def test_an_invalid_key(key: str) -> None:
    body = json.dumps(http.EXAMPLE).encode()
    answer = http.call("POST", body=body, headers={"Idempotency-Key": key})
    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"


def test_an_invalid_request_reserves_no_key(purchase: Purchase) -> None:
    assert purchase.post(latitude="north").status == 400
    purchase.taken()


# Under load

KEYS = 400


def taken_whatever_dies(purchase: Purchase, deadline: float) -> str:
    """As a patient client does it: the same call again until it is accepted."""
    time.sleep(0.15)  # so that calls go on as long as processes die
    while time.monotonic() < deadline:
        try:
            answer = purchase.post()
        except (OSError, HTTPException):
            time.sleep(0.2)
            continue
        if answer.status == 201:
            return str(answer.json["transaction_id"])
        assert answer.status in (409, 503), answer
        time.sleep(0.2)
    raise AssertionError(f"key {purchase.key} was never taken")


@pytest.mark.long
def test_clients_that_retry_while_everything_dies() -> None:
    before = log.ends(log.CREATED)
    purchases = [Purchase(before) for _ in range(KEYS)]
    deadline = time.monotonic() + 90
    with ThreadPoolExecutor(8) as threads:
        first = threads.map(lambda one: taken_whatever_dies(one, deadline), purchases)
        again = threads.map(lambda one: taken_whatever_dies(one, deadline), purchases)
        restarted()
        with paused("kafka"):
            time.sleep(3)
        stack.kill("transactions")
        stack.start("transactions")
        restarted()
        ids = list(first)
        assert list(again) == ids
    assert len(set(ids)) == KEYS
    keys = {one.key for one in purchases}
    found = [log.decoded(record.value) for record in log.read(log.CREATED, before)]
    ours = [one["transaction_id"] for one in found if one["description"].removeprefix("purchase ") in keys]
    assert set(ours) == set(ids), "a second id for a key"
    log.wait_until(lambda: log.lag("transactions") == 0, 60, "the worker has caught up")
    published = asyncio.run(readers.published(ids))
    assert set(published) == set(ids), "lost"
    assert not [id_ for id_ in ids if is_flipped(published[id_])], "published with two verdicts"
    twice, again_published = len(ours) - KEYS, sum(len(verdicts) - 1 for verdicts in published.values())
    print(f"{twice} records are in the log twice, {again_published} verdicts were published again")  # noqa: T201
    assert again_published == 0, "a twin was decided"
