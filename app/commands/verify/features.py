"""Features recomputed from the log alone and compared with those on record: `verify --features`."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from app.commands.shared.console import Progress
from app.commands.shared.read_range import WHOLE, ReadRange
from app.commands.shared.topic_reader import TopicReader, partitions_of
from app.commands.verify.merchants import Difference, Found, RecordedMerchants, StretchCheck
from app.messaging import topics
from app.messaging.codec import readable
from app.messaging.growth import Origin
from app.messaging.tail_reader import TailReader
from app.models.status import FIRST_VERDICT, TransactionStatus, features_of
from app.processing.customer_state import CustomerState
from app.processing.known_merchants import NOTHING_KNOWN
from app.settings import Settings
from history.features import CUSTOMER_FEATURES, UNKNOWN

CHUNK = 5000
_KNOWN = CUSTOMER_FEATURES.index("known")
_OF_CUSTOMER = len(CUSTOMER_FEATURES)

Say = Callable[[str, int], Progress]


@dataclass(slots=True)
class Compared:
    """How many verdicts are as they should be, how many have no features on record, and how many records differ."""

    same: int = 0
    merchants: int = 0  # of all: those whose merchant's history was known
    unrecorded: int = 0
    differ: int = 0
    late: int = 0  # of all: in the partition that their customer had left when partitions were added


async def differences(settings: Settings, compared: Compared, say: Say) -> AsyncIterator[Difference]:
    """Every record of the log that differs; the others are counted in `compared` as they are read."""
    merchants = RecordedMerchants()
    stretches = StretchCheck(await _all(settings, topics.MERCHANT_TOTALS, say))
    async for one in _of_statuses(settings, compared, say, merchants, stretches):
        yield one
    if topics.LABEL in stretches.sources:
        async for partition, found in _chunks(settings, topics.LABEL, say):
            for one in stretches.read(topics.LABEL, partition, found):
                yield one
    # Read once more: a verdict may be by what has been written since.
    totals = await _all(settings, topics.MERCHANT_TOTALS, say)
    for one in chain(stretches.ended(), merchants.differences(totals)):
        yield one


async def _of_statuses(
    settings: Settings,
    compared: Compared,
    say: Say,
    merchants: RecordedMerchants,
    stretches: StretchCheck,
) -> AsyncIterator[Difference]:
    origins = await _origins(settings)
    heirs = Heirs(filter(None, origins.values()))
    for partitions in heirs.in_order(origins):
        wanted = ReadRange(first=dict.fromkeys(partitions, 0))
        async for partition, found in _chunks(settings, topics.STATUS, say, wanted):
            compared.late += heirs.late(partition, found)
            heirs.hand_on(partition, found)
            for one in compare(heirs.states[partition], partition, found, compared, merchants):
                yield one
            for one in stretches.read(topics.STATUS, partition, found):
                yield one


async def _origins(settings: Settings) -> dict[int, Origin | None]:
    """What the first record of each partition of transaction_status says; those that have none are left out."""
    tail = TailReader(settings)
    try:
        found = {
            tp.partition: await tail.first_since(topics.STATUS, tp.partition, 0, lambda _: True)
            for tp in await partitions_of(settings, topics.STATUS)
        }
    finally:
        await tail.close()
    return {partition: Origin.of(first) for partition, first in found.items() if first}


class Heirs:
    """The states of all partitions; those of added ones begin with what others had of their customers."""

    def __init__(self, origins: Iterable[Origin]):
        self.states: dict[int, CustomerState] = defaultdict(CustomerState)
        self._origins = list(origins)

    def in_order(self, partitions: Collection[int]) -> Iterator[list[int]]:
        """In groups that can be read at once: first those that no other one's history is needed for."""
        left, before = set(partitions), {one.partition: dict(one.until).keys() for one in self._origins}
        while left:
            ready = {number for number in left if not left & before.get(number, {}.keys())}
            yield sorted(ready)
            left -= ready

    def hand_on(self, partition: int, found: Found) -> None:
        """These (offset, status) follow in the partition: some may be history for others."""
        for origin in self._origins:
            until = dict(origin.until).get(partition, 0)
            self.states[origin.partition].inherit(
                (offset, one) for offset, one in found if offset < until and origin.has(one["customer_id"])
            )

    def late(self, partition: int, found: Found) -> int:
        """How many first verdicts of these are on customers who were elsewhere by then."""
        return sum(
            offset >= until and one["revision"] == FIRST_VERDICT and origin.has(one["customer_id"])
            for origin in self._origins
            if (until := dict(origin.until).get(partition)) is not None
            for offset, one in found
        )


async def _all(settings: Settings, topic: str, say: Say) -> Found:
    return [one async for _, found in _chunks(settings, topic, say) for one in found]


async def _chunks(
    settings: Settings, topic: str, say: Say, read_range: ReadRange = WHOLE
) -> AsyncIterator[tuple[int, Found]]:
    """A partition and what follows in it, as (offset, record); what cannot be read is left out."""
    codec = await topics.reader(settings, topic)
    async with TopicReader(settings, topic) as reader:
        await reader.seek(read_range)
        progress = say(f"recomputing features from {topic}", reader.total)
        async for records in reader.chunks(CHUNK):
            by_partition: dict[int, list[Any]] = defaultdict(list)
            for record in records:
                by_partition[record.partition].append(record)
            for partition, some in by_partition.items():
                yield partition, await readable(codec, some)
            progress.add(len(records), reader.passed)
            await asyncio.sleep(0)
        progress.ended()


def compare(
    state: CustomerState,
    partition: int,
    found: Sequence[tuple[int, TransactionStatus]],
    compared: Compared,
    merchants: RecordedMerchants,
) -> Iterator[Difference]:
    """Go on with `found` (offset, status), the partition's next ones; those that differ."""
    for offset, status, row in state.recomputed(found):
        recorded = features_of(status)
        if recorded[_KNOWN] == UNKNOWN:
            compared.unrecorded += 1
            continue
        pairs = zip(CUSTOMER_FEATURES, zip(recorded, row, strict=False), strict=False)
        named: dict[str, Any] = {name: both for name, both in pairs if both[0] != both[1]}
        compared.merchants += recorded[_OF_CUSTOMER:] != NOTHING_KNOWN
        if of_merchant := merchants.add(status, recorded[_OF_CUSTOMER:], (partition, offset)):
            named |= of_merchant.features
        if named:
            yield Difference(status["transaction_id"], (partition, offset), named)
        else:
            compared.same += 1
