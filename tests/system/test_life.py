"""One transaction's life, and three hundred at once, compared in every store that shows them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from reconciliation import reconcile
from tests.support import http, log, store, traffic

ASSESSED_BY = ("antifraud-1", "antifraud-2")


@pytest.fixture(scope="module")
def three_hundred() -> list[str]:
    return traffic.posted(300)


def test_one_transaction_from_post_to_the_row() -> None:
    before = {topic: log.ends(topic) for topic in (log.CREATED, log.STATUS)}
    id_ = http.taken()
    first = http.shown(id_)
    assert first is None or first["status"] in ("pending", *http.FINAL)
    found = http.final(id_)
    asked = _record(log.CREATED, before, id_)
    published = _record(log.STATUS, before, id_)
    said = log.decoded(published.value)
    assert (said["source_partition"], said["source_offset"]) == (asked.partition, asked.offset)
    assert published.partition == asked.partition
    assert {key: said[key] for key in log.decoded(asked.value)} == log.decoded(asked.value)
    assert said.pop("history")["known"] >= 0
    assert (said.pop("shadow_score"), said.pop("shadow_version")) == (None, None)
    assert said.pop("batch_size") >= 1
    said.pop("merchants_as_of")  # none may be known yet
    assert found.pop("reasons") == json.loads(said["reasons"] or "[]")
    assert found == {key: said[key] for key in found}
    _is_assessed(said)
    row = store.row(id_)
    assert {key: row[key] for key in said} == said
    assert set(row) - set(said) == {"bucket", "shard"}


def _record(topic: str, since: dict[str, log.Offsets], id_: str) -> Any:
    (record,) = [record for record in log.read(topic, since[topic]) if log.id_of(record) == id_.encode()]
    return record


def _is_assessed(said: dict[str, Any]) -> None:
    assert said["revision"] == 1
    assert said["status"] == ("rejected" if said["score"] < said["threshold"] else "accepted")
    assert 0 <= said["score"] <= 1
    assert said["model_version"]
    assert said["replica"] in ASSESSED_BY
    assert said["reason"] is None
    assert 0 <= said["decided_at"] // 1000 - said["event_timestamp"] <= 60


def test_three_hundred_agree_in_every_store(three_hundred: list[str]) -> None:
    counted = asyncio.run(reconcile.reconcile_until_settled(three_hundred, within=20))
    assert not counted.faults()
    assert counted.published_again == 0
    assert counted.there == dict.fromkeys(reconcile.SOURCES, 300)


def test_both_verdicts_occur(three_hundred: list[str]) -> None:
    statuses = [http.final(id_)["status"] for id_ in three_hundred]
    assert min(statuses.count("accepted"), statuses.count("rejected")) >= 0.05 * len(statuses)


def test_both_replicas_get_work(three_hundred: list[str]) -> None:
    assert {http.final(id_)["replica"] for id_ in three_hundred} == {*ASSESSED_BY}
