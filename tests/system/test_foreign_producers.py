"""Records that other producers write: whatever an ordinary Kafka client may send is read."""

from __future__ import annotations

import pytest

from tests.support import commands, http, log
from tests.support.feed import Feed, new_id


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
def test_a_batch_is_read_whatever_codec_its_producer_chose(codec: str) -> None:
    feed = Feed()
    # Several in each partition: clients compress no batch of one small record.
    ids = [new_id() for _ in range(20 * log.PARTITIONS)]
    records = [(number % log.PARTITIONS, id_.encode(), feed.value(id_)) for number, id_ in enumerate(ids)]
    log.produce(records, codec=codec)
    for id_ in ids:
        assert http.final(id_, within=30)["status"] in ("accepted", "rejected")
    assert commands.done("lag")
    assert "all agree" in commands.done("verify")
