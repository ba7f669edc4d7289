"""Records of other producers: whatever an ordinary Kafka client may send can be read."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support import commands, http, log
from tests.support.feed import Feed, new_id
from tests.system.test_dead_letters import dead_lettered


@pytest.mark.parametrize(
    "codec", [*(pytest.param(codec, marks=pytest.mark.long) for codec in ("gzip", "snappy", "lz4")), "zstd"]
)
def test_a_batch_is_read_whatever_codec_its_producer_chose(codec: str) -> None:
    feed = Feed()
    # Several per partition: clients do not compress a batch of one small record.
    ids = [new_id() for _ in range(20 * log.PARTITIONS)]
    records = [(number % log.PARTITIONS, id_.encode(), feed.value(id_)) for number, id_ in enumerate(ids)]
    log.produce(records, codec=codec)
    for id_ in ids:
        assert http.final(id_, within=30)["status"] in ("accepted", "rejected")
    assert commands.done("lag")
    assert "all agree" in commands.done("verify")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"value_in_cents": -5}, "value_in_cents must be 1 or more"),
        ({"event_timestamp": int(time.time()) + 7200}, "event_timestamp is more than an hour ahead"),
    ],
    ids=["a negative amount", "two hours ahead"],
)
def test_what_the_bff_would_refuse_is_a_dead_letter(changes: dict[str, Any], reason: str) -> None:
    id_ = new_id()
    _, dead_letter = dead_lettered(Feed().value(id_, changes), id_.encode())
    assert reason in dict(dead_letter.headers)["dead_letter.reason"].decode()
    assert http.shown(id_) is None
