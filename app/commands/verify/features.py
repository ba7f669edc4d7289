"""Features recomputed from the log alone and compared with those on record: `verify --features`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from app.commands.shared.console import Progress
from app.commands.shared.topic_reader import TopicReader
from app.errors import Poison
from app.messaging import topics
from app.models.status import TransactionStatus, features_of
from app.processing.customer_state import CustomerState
from app.settings import Settings
from history.features import FEATURES, UNKNOWN

CHUNK = 5000
_KNOWN = FEATURES.index("known")


@dataclass(slots=True)
class Compared:
    """How many verdicts were compared, how many have no features on record, and how many differ."""

    same: int = 0
    unrecorded: int = 0
    differ: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A verdict whose features are not those of the log before it: by name, recorded and recomputed."""

    transaction_id: str
    place: tuple[int, int]
    features: dict[str, tuple[int, int]]


async def differences(
    settings: Settings, compared: Compared, say: Callable[[str, int], Progress]
) -> AsyncIterator[Difference]:
    """Every verdict of the log that differs; the others are counted in `compared`."""
    codec = await topics.reader(settings, topics.STATUS)
    states: dict[int, CustomerState] = defaultdict(CustomerState)
    async with TopicReader(settings, topics.STATUS) as reader:
        await reader.seek()
        progress = say(f"recomputing features from {topics.STATUS}", reader.total)
        async for records in reader.chunks(CHUNK):
            found = await codec.decode([record.value for record in records])
            by_partition: dict[int, list[Any]] = defaultdict(list)
            for record, one in zip(records, found, strict=True):
                if not isinstance(one, Poison):
                    by_partition[record.partition].append((record.offset, one))
            for partition, some in by_partition.items():
                for difference in compare(states[partition], partition, some, compared):
                    yield difference
            progress.add(len(records), reader.passed)
            await asyncio.sleep(0)
        progress.ended()


def compare(
    state: CustomerState,
    partition: int,
    found: Sequence[tuple[int, TransactionStatus]],
    compared: Compared,
) -> list[Difference]:
    """Go on with `found` (offset, status), the partition's next ones; those that differ."""
    different = []
    for offset, status, row in state.recomputed(found):
        recorded = features_of(status)
        if recorded == row:
            compared.same += 1
        elif recorded[_KNOWN] == UNKNOWN:
            compared.unrecorded += 1
        else:
            compared.differ += 1
            pairs = zip(FEATURES, zip(recorded, row, strict=True), strict=True)
            named = {name: both for name, both in pairs if both[0] != both[1]}
            different.append(Difference(status["transaction_id"], (partition, offset), named))
    return different
