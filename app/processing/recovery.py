"""Recovery: what earlier owners of a partition published is read back from the end of its status partition."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.errors import Poison
from app.messaging import topics
from app.models.status import FIRST_VERDICT
from app.models.transaction import id_in_key
from app.processing.deduplication import OF_A_PARTITION
from app.processing.pipeline import ReadBack

if TYPE_CHECKING:
    from app.resources import Resources

log = logging.getLogger(__name__)


async def recover(
    resources: Resources, partition: int, from_offset: int, read_to: int, most: int
) -> ReadBack:
    """Which ids have a status, back to a status of a record before `from_offset`, or to `read_to`; `most` ids.

    First verdicts are published in source offset order, so behind one on a record before `from_offset` there is older
    work only. LogUnavailable.
    """
    offsets: dict[str, int] = {}
    older_work, oldest_ms = False, int(time.time() * 1000)

    async def take(records: Sequence[Any]) -> bool:
        nonlocal older_work, oldest_ms
        for record in reversed(records):
            if record.key is not None:
                offsets[id_in_key(record.key)] = record.offset
        if records:
            oldest_ms = records[0].timestamp
        if not older_work:
            older_work = await _has_older_work(resources, records, partition, from_offset)
        return len(offsets) >= (min(OF_A_PARTITION, most) if older_work else most)

    back = await resources.tail.read_back(topics.STATUS, partition, take, since=read_to)
    all_known = back.whole or back.start == read_to
    if not older_work and not all_known:
        log.warning(
            "Partition %d continues at offset %s, more than %d decided transactions back: did its group lose its "
            "offsets? Each one that is older is looked up in Cassandra, and none is decided twice",
            partition, from_offset, len(offsets),
        )  # fmt: skip
    return ReadBack(offsets, back.end, None if all_known else oldest_ms)


async def _has_older_work(
    resources: Resources, records: Sequence[Any], partition: int, from_offset: int
) -> bool:
    """Whether the first of these that is a first verdict is on a record before `from_offset`."""
    for record in records:
        (status,) = await resources.status.decode([record.value])
        is_first = not isinstance(status, Poison) and status["revision"] == FIRST_VERDICT
        if is_first and status["source_partition"] == partition:
            return bool(status["source_offset"] < from_offset)
    return False
