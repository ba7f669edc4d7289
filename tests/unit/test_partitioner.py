"""A key belongs into the partition that other producers' default gives it."""

from __future__ import annotations

import random
import uuid

from aiokafka.partitioner import DefaultPartitioner

from app.messaging.partitioner import partition_of


def test_keys_of_any_length_go_where_other_producers_default_puts_them() -> None:
    rng, default = random.Random(1), DefaultPartitioner()
    keys = [rng.randbytes(length) for length in range(300)] + [str(uuid.uuid4()).encode() for _ in range(500)]
    for partitions in (1, 3, 4, 100):
        given = [partition_of(key, partitions) for key in keys]
        assert given == [default(key, list(range(partitions)), ()) for key in keys]
