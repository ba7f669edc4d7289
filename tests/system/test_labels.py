"""What somebody says of a transaction afterwards is in the log, in GET and in `evaluate`, whatever dies meanwhile."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import fastavro
import pytest

from infra.native import stack
from reconciliation.readers import PATH
from tests.support import commands, http, log, store
from tests.support.dead import kill
from tests.support.events import listener
from tests.support.traffic import posted
from tests.system.test_agreement import verify

pytestmark = pytest.mark.usefixtures("whole_again")

#: Seconds within which every bff shows a label.
SHOWN_WITHIN = 2.0
SAID = ("fraud", "genuine", "not_labelled")
UNKNOWN = "0197c1a2-5b3e-7c4d-9e8f-0a1b2c3d4e5f"


def label(transaction_id: str, said: str) -> http.Answer:
    body = json.dumps({"label": said}).encode()
    return http.call("POST", f"{PATH}/{transaction_id}/label", body, {"Content-Type": "application/json"})


def shown(transaction_id: str) -> tuple[Any, Any]:
    """The label that GET shows, and its time."""
    found = http.shown(transaction_id) or {}
    return found.get("label"), found.get("labelled_at")


def one_of_each() -> tuple[str, str]:
    """An accepted transaction and a rejected one, as the generator's customers make both."""
    found = {http.final(id_, within=20)["status"]: id_ for id_ in posted(60)}
    return found["accepted"], found["rejected"]


def evaluate(since: datetime) -> Any:
    """What the command says of what was decided since then."""
    said = commands.begin("evaluate", "--json", "--since", since.isoformat(), stderr=subprocess.DEVNULL)
    out, _ = said.communicate(timeout=60)
    assert said.returncode == 0, out
    return json.loads(out)


def test_a_label_is_acknowledged_shown_and_evaluated_and_nothing_else_changes() -> None:
    starts, began = log.ends(log.STATUS), datetime.now(UTC)
    missed, caught = one_of_each()
    before, page = http.shown(missed), http.page(limit=10)
    log_ends = {topic: log.ends(topic) for topic in (log.LABEL, log.CREATED, log.STATUS, log.DEAD_LETTER)}
    with listener() as heard:
        heard.until_on()
        first, again = label(missed, "fraud"), label(missed, "fraud")
        assert (first.status, again.status, again.body) == (201, 200, first.body)
        assert http.shown(missed) == {
            **(before or {}),
            "label": "fraud",
            "labelled_at": first.json["labelled_at"],
        }
        assert label(caught, "fraud").status == 201
        last = http.taken()
        heard.wait_for(last)
        ours = {missed, caught}
        assert ours.isdisjoint(event.get("transaction_id") for event in heard.heard)
        assert heard.of("gap") == []
    records = log.read(log.LABEL, log_ends[log.LABEL])
    assert sorted(log.decoded(record.value)["transaction_id"] for record in records) == sorted(ours)
    assert {record.key.decode() for record in records} == ours
    assert log.read(log.DEAD_LETTER, log_ends[log.DEAD_LETTER]) == []
    entries = {entry["transaction_id"]: entry for entry in http.page(limit=20)["transactions"]}
    assert [entries[one["transaction_id"]] for one in page["transactions"]] == page["transactions"]

    found = evaluate(began)
    assert (found["rejected"]["fraud"], found["accepted"]["fraud"]) == (1, 1)
    assert (found["precision"], found["recall"]) == (1.0, 0.5)
    # What a test before this one left undecided is decided since then as well.
    decided = {
        log.id_of(one)
        for one in log.read(log.STATUS, starts)
        if one.timestamp >= int(began.timestamp() * 1000)
    }
    assert len(decided) >= 61
    assert sum(found[status][said] for status in ("accepted", "rejected") for said in SAID) == len(decided)
    assert found["rejected"]["genuine"] + found["accepted"]["genuine"] == 0


def test_a_later_label_replaces_it_and_what_is_wrong_with_a_call_is_said() -> None:
    id_ = http.taken()  # pending or not
    first = label(id_, "fraud")
    other = label(id_.upper(), "genuine")
    assert (first.status, other.status) == (201, 200)
    assert other.json["replaced"] == {"label": "fraud", "labelled_at": first.json["labelled_at"]}
    assert shown(id_) == ("genuine", other.json["labelled_at"])
    unknown, wrong = label(UNKNOWN, "fraud"), label(id_, "good")
    assert (unknown.status, unknown.json["type"]) == (404, "/problems/transaction-not-found")
    assert (wrong.status, wrong.json["errors"]) == (
        400,
        [{"field": "label", "reason": "must be 'fraud' or 'genuine'"}],
    )
    assert shown(id_)[0] == "genuine"


def test_while_kafka_hangs_it_is_a_503_within_two_seconds_and_once_it_is_back_the_same_label_counts() -> None:
    id_ = http.taken()
    http.final(id_)
    stack.pause("kafka")
    try:
        began = time.monotonic()
        answer = label(id_, "fraud")
        took = time.monotonic() - began
        assert (answer.status, answer.json["type"]) == (503, "/problems/label-not-acknowledged")
        assert answer.headers["Retry-After"]
        assert answer.headers["X-Request-Id"] == answer.json["request_id"]
        assert took < 2.2
        assert shown(id_) == (None, None)
    finally:
        stack.resume("kafka")
    log.wait_until(lambda: label(id_, "fraud").status in (200, 201), 20, "Kafka takes it again")
    log.wait_until(lambda: shown(id_)[0] == "fraud", SHOWN_WITHIN, "GET shows it")


def said_by_another_bff(transaction_id: str, said: str, at: int) -> None:
    """A label that this bff has only from the log."""
    number, schema = log.latest_schema(log.LABEL)
    record = {
        "transaction_id": transaction_id,
        "label": said,
        "labelled_at": at,
        "replaced_label": None,
        "replaced_at": None,
        "customer_id": "c",
        "merchant_id": "m",
        "event_timestamp": at // 1000,
        "value_in_cents": 1,
    }
    value = log.framed(number, fastavro.parse_schema(schema), record)
    log.produce([(0, transaction_id.encode(), value)], log.LABEL)


def test_a_killed_bff_shows_what_it_acknowledged_and_what_was_said_while_it_was_dead() -> None:
    mine, theirs = http.taken(), http.taken()
    http.final(theirs)
    given = label(mine, "fraud").json["labelled_at"]
    kill("bff")
    now = int(time.time() * 1000)
    said_by_another_bff(theirs, "genuine", now)
    said_by_another_bff(mine, "genuine", given - 1)  # older: whatever comes later, it covers nothing
    stack.start("bff")
    log.wait_until(lambda: shown(theirs) == ("genuine", now), 20, "the agent has gone on")
    assert shown(mine) == ("fraud", given)
    another = now + 1
    said_by_another_bff(theirs, "fraud", another)
    log.wait_until(lambda: shown(theirs) == ("fraud", another), SHOWN_WITHIN, "a running bff shows it")


@pytest.mark.long
def test_a_table_that_was_lost_is_missed_by_verify_and_made_again_by_replay() -> None:
    ids = [http.taken() for _ in range(3)]
    for id_ in ids:
        http.final(id_)
        assert label(id_, "fraud").status == 201
    before = verify().findings
    store.query("TRUNCATE transactions.labels")
    lost = {finding for finding in verify().findings - before if finding[2] == "labels"}
    assert {(id_, "missing", "labels", ()) for id_ in ids} <= lost
    assert shown(ids[0]) == (None, None)
    said = commands.done("replay", "--into", "cassandra", "--since", "300")
    assert " labels" in said
    assert [shown(id_)[0] for id_ in ids] == ["fraud"] * 3
    commands.done("replay", "--into", "cassandra")
    assert {finding for finding in verify().findings - before if finding[2] == "labels"} == set()
