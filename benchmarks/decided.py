"""Decided transactions written straight into both topics, as if a bff and a worker had done it long ago."""

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
    await _write(count)
    for part in READERS:
        stage.start(part)


async def _write(count: int) -> None:
    """Each created and decided, as if workers had done it."""
    created, status = Schema(CREATED), Schema(STATUS)
    asked, published = list[Record](), list[Record]()
    async with progress.group() as group:
        offsets = {tp.partition: end for tp, end in (await group.ends(CREATED)).items()}
    for one in traffic.arrived(count, DENSITY, SEED):
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
