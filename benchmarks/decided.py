"""Decided transactions written straight into both topics, as if a bff and a worker had done it long ago."""

from collections.abc import Callable

from benchmarks import progress, stage, traffic
from benchmarks.traffic import CREATED, STATUS, Record, Schema

READERS = {"transactions": CREATED, "bff": STATUS}
#: Transactions a second of the time they are spread over.
DENSITY = 500
SEED = 1
DECISION = {"status": "accepted", "revision": 1, "score": 0.75, "reason": None}
ASSESSED_BY = {"model_version": "benchmark", "threshold": 0.5, "replica": "antifraud-1"}


async def in_the_log(count: int) -> None:
    """So many more in both topics, read by the workers' groups as far as these know; the stores have none of them."""
    for part in READERS:
        stage.stop(part)
    await write(count)
    for part in READERS:
        stage.start(part)


async def write(count: int, customer_of: Callable[[int], str] | None = None) -> None:
    """Each created and decided, as if workers had done it; these may not run meanwhile.

    `customer_of`: whose each is, by its number; without it they are the generator's hundred customers'.
    """
    created, status = Schema(CREATED), Schema(STATUS)
    asked, published = list[Record](), list[Record]()
    async with progress.group() as group:
        offsets = {tp.partition: end for tp, end in (await group.ends(CREATED)).items()}
    for at, one in enumerate(traffic.arrived(count, DENSITY, SEED)):
        if customer_of:
            one["customer_id"] = customer_of(at)
        record = traffic.created(one, created)
        partition = record.partition
        source = {"source_partition": partition, "source_offset": offsets[partition]}
        offsets[partition] += 1
        decision = DECISION | ASSESSED_BY | source | {"decided_at": one["event_timestamp"] * 1000 + 50}
        asked.append(record)
        published.append(
            record._replace(key=record.transaction_id.encode(), value=status.encode(one | decision))
        )
    await traffic.feed(asked)
    await traffic.feed(published, STATUS)
    for name, topic in READERS.items():
        async with progress.group(name, topic) as group:
            await group.skip()
